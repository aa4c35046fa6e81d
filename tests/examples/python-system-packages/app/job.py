import psycopg2

print(f"psycopg2 {psycopg2.__version__.split()[0]} with libpq {psycopg2.extensions.libpq_version() // 10000}")
