/**
 * Parameters of ClickHouse's HTTP interface, each by its exact name: passed on, limited, ignored because they have no meaning here,
 * or refused. None of those passed on names a file or a schema.
 */
import { SqlRefused } from './parse.ts'

const set = (names: string) => new Set(names.split(/\s+/))

/** Of the protocol: the form of the response. */
const PROTOCOL = set(
  'query_id default_format compress client_protocol_version network_compression_method network_compression_level network_zstd_compression_level',
)

/**
 * Handled here (HTTP compression) or ignored: the token identifies the user, there are no sessions, responses are streamed without
 * progress headers, and disconnecting always cancels the statement.
 */
const IGNORED = set(
  `query decompress enable_http_compression http_zlib_compression_level user password quota_key database session_id session_timeout session_check close_session
  wait_end_of_query buffer_size send_progress_in_http_headers http_headers_progress_interval_ms
  cancel_http_readonly_queries_on_client_close log_comment log_queries result_overflow_mode stacktrace
  date_time_input_format http_write_exception_in_output_format async_insert wait_for_async_insert`,
)

/** Settings that clients may choose: formatting and evaluation. */
const ALLOWED = set(
  `date_time_output_format session_timezone join_use_nulls extremes limit offset union_default_mode
  prefer_column_name_to_alias group_by_use_nulls aggregate_functions_null_for_empty any_join_distinct_right_table_keys
  cast_keep_nullable describe_compact_output describe_include_subcolumns final use_client_time_zone
  format_csv_delimiter format_csv_null_representation format_tsv_null_representation bool_true_representation bool_false_representation
  show_table_uuid_in_table_create_query_if_not_nil
  output_format_always_write_decimal_point_in_float_and_decimal output_format_arrow_compression_method output_format_arrow_date_as_uint16
  output_format_arrow_fixed_string_as_fixed_byte_array output_format_arrow_low_cardinality_as_dictionary output_format_arrow_string_as_string
  output_format_arrow_unsupported_types_as_binary output_format_arrow_use_64_bit_indexes_for_dictionary
  output_format_arrow_use_signed_indexes_for_dictionary output_format_binary_encode_types_in_binary_format
  output_format_binary_write_json_as_string output_format_bson_string_as_string output_format_compression_level
  output_format_csv_crlf_end_of_line output_format_csv_serialize_tuple_into_separate_columns output_format_decimal_trailing_zeros
  output_format_float_precision output_format_json_array_of_rows output_format_json_escape_forward_slashes
  output_format_json_map_as_array_of_tuples output_format_json_named_tuples_as_objects output_format_json_pretty_print
  output_format_json_quote_64bit_floats output_format_json_quote_64bit_integers output_format_json_quote_decimals
  output_format_json_quote_denormals output_format_json_skip_null_value_in_named_tuples output_format_json_validate_utf8
  output_format_markdown_escape_special_characters output_format_msgpack_uuid_representation
  output_format_native_encode_types_in_binary_format output_format_native_use_flattened_dynamic_and_json_serialization
  output_format_native_write_json_as_string output_format_orc_compression_method output_format_orc_string_as_string
  output_format_parallel_formatting output_format_parquet_batch_size output_format_parquet_compression_method
  output_format_parquet_data_page_size output_format_parquet_date_as_uint16 output_format_parquet_datetime_as_uint32
  output_format_parquet_enum_as_byte_array output_format_parquet_fixed_string_as_fixed_byte_array output_format_parquet_row_group_size
  output_format_parquet_row_group_size_bytes output_format_parquet_string_as_string output_format_parquet_write_page_index
  output_format_pretty_color output_format_pretty_display_footer_column_names output_format_pretty_fallback_to_vertical
  output_format_pretty_grid_charset output_format_pretty_highlight_digit_groups output_format_pretty_max_column_pad_width
  output_format_pretty_max_rows output_format_pretty_max_value_width output_format_pretty_row_numbers
  output_format_pretty_single_large_number_tip_threshold output_format_sql_insert_include_column_names
  output_format_sql_insert_max_batch_size output_format_sql_insert_quote_names output_format_sql_insert_table_name
  output_format_sql_insert_use_replace output_format_trim_fixed_string output_format_tsv_crlf_end_of_line
  output_format_values_escape_quote_with_quote output_format_write_statistics`,
)

const MIB = 1024 ** 2

/**
 * Limits of a statement: seconds, bytes of memory, rows and bytes of its result. The embedded ClickHouse holds a result about six
 * times in memory before it is sent: four at once stay below 2 GiB.
 */
export const LIMITS = {
  max_execution_time: 30,
  max_memory_usage: 384 * MIB,
  max_result_rows: 1_000_000,
  max_result_bytes: 32 * MIB,
} as const

/** Settings that clients may choose, with their maximum. */
const MAXIMUM: Readonly<Record<string, number>> = { max_threads: 8, max_block_size: 1_000_000 }

/** Set for every statement: exceeding a result limit is an error, and aggregations and sorts spill to disk, up to a limit. */
const FIXED = {
  result_overflow_mode: 'throw',
  max_bytes_before_external_group_by: String(128 * MIB),
  max_bytes_before_external_sort: String(128 * MIB),
  max_temporary_data_on_disk_size_for_query: String(1024 * MIB),
} as const

/**
 * The parameters that ClickHouse is sent.
 * @throws {SqlRefused} for an unknown parameter
 */
export function parametersOf(given: URLSearchParams): { passed: Map<string, string>; seconds: number } {
  const passed = new Map<string, string>()
  const limits: Record<string, number> = { ...LIMITS }
  for (const [name, value] of given) {
    if (/^param_\w+$/.test(name) || PROTOCOL.has(name) || ALLOWED.has(name)) passed.set(name, value)
    else if (Object.hasOwn(LIMITS, name)) limits[name] = limited(Number(value), LIMITS[name as keyof typeof LIMITS])
    else if (Object.hasOwn(MAXIMUM, name)) passed.set(name, String(limited(Number(value), MAXIMUM[name] as number)))
    else if (name === 'readonly' && /^[12]$/.test(value)) continue
    else if (!IGNORED.has(name)) throw new SqlRefused(164, 'READONLY', `Cannot modify '${name}' setting in readonly mode`)
  }
  for (const [name, value] of Object.entries(limits)) passed.set(name, String(value))
  for (const [name, value] of Object.entries(FIXED)) passed.set(name, value)
  return { passed, seconds: limits.max_execution_time as number }
}

function limited(wanted: number, max: number): number {
  return wanted > 0 ? Math.min(wanted, max) : max
}
