// Package local runs embedding models in this process, without cgo: a folder
// with a model's files comes in, vectors of texts go out.
//
// The files are those that Hugging Face keeps of a model: weights as
// safetensors, tokenizer.json, config.json. Static models, in the form of
// model2vec, have a vector for each token. Encoders are transformers of the
// BERT and RoBERTa families; cross-encoders are such that judge a query and a
// passage together.
package local
