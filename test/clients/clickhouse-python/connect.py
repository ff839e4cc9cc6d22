"""clickhouse-connect with its defaults, and SQLAlchemy with no database chosen but `default`. PORT, TOKEN."""
import os

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError
from sqlalchemy import create_engine, inspect, text

PORT, TOKEN = os.environ["PORT"], os.environ["TOKEN"]


def connect(**more):
    return clickhouse_connect.get_client(
        host="127.0.0.1", port=int(PORT), username="python", password=TOKEN, proxy_path="/clickhouse", **more
    )


for compress in (True, False, "lz4", "zstd", "gzip"):
    client = connect(compress=compress)
    assert client.command("SELECT currentDatabase()") == "default"
    rows = client.query(
        "SELECT number, toString(number), [number], if(number = 0, NULL, 1), toLowCardinality('x') FROM numbers({n:UInt32})",
        parameters={"n": 70000},
    ).result_rows
    assert len(rows) == 70000 and rows[7] == (7, "7", [7], 1, "x") and rows[0][3] is None, rows[:2]
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200000
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    client.close()
    print("clickhouse-connect", "compress =", compress, "passed")
try:
    connect().query("SELECT nothing FROM messages")
    raise SystemExit("an unknown column was found")
except DatabaseError as error:
    assert "code: 47" in str(error), error

for url in (
    f"clickhousedb+connect://python:{TOKEN}@127.0.0.1:{PORT}/default?proxy_path=/clickhouse",
    f"clickhouse+http://python:{TOKEN}@127.0.0.1:{PORT}/default?endpoint=clickhouse/",
):
    engine = create_engine(url)
    seen = inspect(engine)
    with engine.connect() as connection:
        database = connection.execute(text("SELECT currentDatabase()")).scalar()
        assert database in seen.get_schema_names(), (database, seen.get_schema_names())
        tables, views = seen.get_table_names(database), seen.get_view_names(database)
        assert tables and views, (tables, views)
        for name in [*tables, *views]:
            assert seen.get_columns(name, database), name
            connection.execute(text(f"SELECT count() FROM {database}.{name}")).scalar()
    print(url.split(":")[0], "database", database, "tables", len(tables), "views", len(views), "each of them read")
