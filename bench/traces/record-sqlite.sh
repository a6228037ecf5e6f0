#!/bin/sh
# Records sqlite-transactions.trace anew: sqlite3 fills a table of accounts, moves money between them in transactions,
# and adds everything up, with a page cache far smaller than its file and without memory mapping.
# Needs sqlite3 and strace. Usage: bench/traces/record-sqlite.sh [FILE]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/sqlite-transactions.trace}
case $out in /*) ;; *) out=$PWD/$out ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

accounts=6000
transactions=120
{
    echo 'PRAGMA page_size = 4096; PRAGMA mmap_size = 0; PRAGMA cache_size = 24; PRAGMA temp_store = memory;'
    echo 'CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER, note TEXT);'
    echo "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $accounts)
          INSERT INTO account SELECT n, 'owner ' || (n * 7919 % $accounts), 1000, hex(zeroblob(100)) FROM number;"
    echo 'CREATE INDEX account_owner ON account (owner);'
    transaction=1
    while [ "$transaction" -le "$transactions" ]; do
        # Steps that share no factor with the number of accounts, so that the accounts used are spread over all.
        from=$((transaction * 3607 % accounts + 1))
        to=$((transaction * 1373 % accounts + 1))
        echo 'BEGIN IMMEDIATE;'
        echo "UPDATE account SET balance = balance - 10 WHERE id = $from;"
        echo "UPDATE account SET balance = balance + 10 WHERE owner = 'owner $to';"
        [ $((transaction % 10)) -ne 0 ] || echo "SELECT sum(balance) FROM account WHERE id BETWEEN $to AND $to + 400;"
        if [ $((transaction % 15)) -eq 0 ]; then echo 'ROLLBACK;'; else echo 'COMMIT;'; fi
        transaction=$((transaction + 1))
    done
    echo 'SELECT count(*), sum(balance) FROM account;'
} > script.sql

"$here/../../scripts/lab" record --out "$out" --only 'accounts.db*' -- \
    sqlite3 -batch -init /dev/null accounts.db '.read script.sql'
