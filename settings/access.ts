/** Who may use the API, from where and how often. */
import { address, flag, list, number, secret, section, text } from './setting.ts'

export const accessSettings = section(
  'Access',
  {
    adminToken: secret('ADMIN_TOKEN', "The installation's own token, of role admin; created in DATA_DIR where it is not set."),
    sessionKey: secret('SESSION_KEY', 'Signs the tokens of those who log in here; created in DATA_DIR where it is not set.'),
    tenantKey: secret('TENANT_KEY', 'Key of the ids of conversations; created in DATA_DIR where it is not set. Never changed.'),
    tenantKeyKept: flag('TENANT_KEY_KEPT', 'Accepts a weak TENANT_KEY, because conversations are kept under it.'),
    jwtSecret: secret('JWT_SECRET', "Verifies the CRM's tokens, by a shared secret."),
    jwksUrl: address('JWT_JWKS_URL', ['https:', 'http:'], 'Where the CRM publishes the keys that verify its tokens.'),
    issuer: text('JWT_ISSUER', "Issuer of the CRM's tokens."),
    audience: text('JWT_AUDIENCE', "Audience of the CRM's tokens."),
    metricsToken: secret('METRICS_TOKEN', 'Lets Prometheus read the metrics from another machine.'),
    corsOrigins: list('CORS_ORIGINS', 'Origins whose pages may call the API, separated by commas.'),
    trustedProxies: list('TRUSTED_PROXIES', 'Addresses of proxies in front of the API, which say who asks.'),
    publicDetails: flag('PUBLIC_DETAILS', "Shows everybody metrics, the API's document, and what is wrong with a dependency."),
  },
  ({ jwtSecret, jwksUrl, issuer, audience, corsOrigins }, problems) => {
    if (jwtSecret !== null && jwksUrl !== null)
      problems.push('JWT_SECRET and JWT_JWKS_URL are both given; tokens have one kind of key')
    for (const [name, value] of Object.entries({ JWT_ISSUER: issuer, JWT_AUDIENCE: audience })) {
      if (jwksUrl !== null && value === null)
        problems.push(`${name} is missing: the publisher of the keys at JWT_JWKS_URL signs tokens for other services, too`)
    }
    for (const origin of corsOrigins) {
      if (!URL.canParse(origin) || new URL(origin).origin !== origin)
        problems.push(`CORS_ORIGINS names "${origin}"; it must be an origin such as https://crm.example.com`)
    }
  },
)

/** `RATE_LIMIT_SEARCH` and so on: requests that somebody may make in the window of each limit. */
export function limitSettings<N extends string>(names: readonly N[]) {
  const limit = (of: N) =>
    number(`RATE_LIMIT_${of.toUpperCase()}`, null, 1, 1e9, `Requests of the kind "${of}" that somebody may make in its window.`)
  return section('Rate limits', Object.fromEntries(names.map(of => [of, limit(of)])) as Record<N, ReturnType<typeof limit>>)
}
