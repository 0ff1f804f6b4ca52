// Package local runs embedding models in this process, without cgo: a folder
// with a model's files comes in, vectors of texts go out.
//
// The files are those that Hugging Face keeps of a model: weights as
// safetensors, tokenizer.json, config.json. Static models, in the form of
// model2vec, have a vector for each token. Encoders are transformers of the
// BERT and RoBERTa families; cross-encoders are such that judge a query and a
// passage together. Both can be computed by onnxruntime as well, in a program
// built with cgo and the tag onnxruntime; see Runtime.
package local
