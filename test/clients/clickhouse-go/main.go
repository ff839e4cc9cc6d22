// Connects as Grafana's data source does, with every compression that it offers. PORT, TOKEN.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func main() {
	failed := false
	for _, of := range []struct {
		name        string
		compression *clickhouse.Compression
	}{
		{"plain", nil},
		{"gzip", &clickhouse.Compression{Method: clickhouse.CompressionGZIP}},
		{"deflate", &clickhouse.Compression{Method: clickhouse.CompressionDeflate}},
		{"brotli", &clickhouse.Compression{Method: clickhouse.CompressionBrotli}},
		{"lz4", &clickhouse.Compression{Method: clickhouse.CompressionLZ4}},
		{"zstd", &clickhouse.Compression{Method: clickhouse.CompressionZSTD}},
	} {
		if err := ask(of.compression); err != nil {
			fmt.Println(of.name, "failed:", err)
			failed = true
			continue
		}
		fmt.Println(of.name, "passed")
	}
	if failed {
		os.Exit(1)
	}
}

func ask(compression *clickhouse.Compression) error {
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr:        []string{"127.0.0.1:" + os.Getenv("PORT")},
		Protocol:    clickhouse.HTTP,
		HttpUrlPath: "/clickhouse",
		Auth:        clickhouse.Auth{Database: "default", Username: "grafana", Password: os.Getenv("TOKEN")},
		Compression: compression,
		Settings:    clickhouse.Settings{"max_execution_time": 60},
	})
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	var n uint64
	if err := db.QueryRowContext(ctx, "SELECT count() FROM messages WHERE direction = ?", "in").Scan(&n); err != nil {
		return err
	}
	// Types of every kind, many rows, columns that are walked to be sent.
	rows, err := db.QueryContext(ctx, `SELECT number, toString(number), toLowCardinality('x'), [number], if(number % 2 = 0, NULL, 'odd'),
		toDateTime64('2026-03-02 09:00:00.123', 3, 'UTC'), map('a', number), 1.5 FROM numbers(100000)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	count := uint64(0)
	for rows.Next() {
		var number uint64
		var text, low string
		var list []uint64
		var odd sql.NullString
		var at time.Time
		var pairs map[string]uint64
		var half float64
		if err := rows.Scan(&number, &text, &low, &list, &odd, &at, &pairs, &half); err != nil {
			return err
		}
		if text != fmt.Sprint(number) || list[0] != number || pairs["a"] != number || odd.Valid != (number%2 == 1) || at.UnixMilli() != 1772442000123 {
			return fmt.Errorf("row %d is another: %v %v %v %v %v", count, text, list, odd, at, pairs)
		}
		count++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if count != 100000 {
		return fmt.Errorf("%d rows came of 100000", count)
	}
	return nil
}
