// Package ingest is the first stage: a Request comes in, a parsed Document
// goes out.
//
// An Ingester answers the four operations of a request. Content comes with the
// request, from a blob store, or over http(s) by a Fetcher that refuses private
// addresses. A Parser turns bytes of any supported format into text with
// structural blocks; formats whose libraries cannot be trusted with hostile
// input run in a child process that is killed when it exceeds its limits.
// Walk lists the files of a directory tree for those who publish them.
//
// Every byte that comes in is treated as hostile: sizes, times, redirects,
// nesting and page counts are limited, and each refusal names the limit, its
// value and the setting that moves it.
package ingest
