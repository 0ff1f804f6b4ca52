// Package tributary is the vocabulary of Tributary: the messages that pass
// from stage to stage, the identities of documents and chunks, the manifest
// that makes a version visible, the outcomes a stage may choose, and the
// request and reply types of the public protocol.
//
// It imports nothing outside the standard library and knows neither NATS nor
// Weaviate. A document travels as
//
//	Request → Document → Chunked → Embedded → Manifest
//	        ingest     chunk     embed      index
//
// and a Query finds it again.
package tributary
