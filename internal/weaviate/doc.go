// Package weaviate keeps the chunks of the knowledge bases in a Weaviate
// server: objects with vectors come in, candidates for a query go out. It is
// the only package that imports the Weaviate client.
//
// Each knowledge base has one collection. Its objects are never changed, only
// inserted and deleted, and no id is ever inserted twice; see [Store.Insert]
// for why that is more than a convention.
//
// The package calls what the client gets right and goes around what it does
// not: inserts use its gRPC batch, with only those property types that the
// batch keeps; queries are GraphQL with strings quoted here, because the
// client quotes them as Go does (v4.16.1 has no search over gRPC); the wait
// for a server that starts is left to the caller, because the client's own
// may panic.
package weaviate
