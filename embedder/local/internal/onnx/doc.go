// Package onnx computes encoders that are ONNX graphs with onnxruntime, which
// is a shared library and called by cgo. So there is only an error to be had
// from it, unless it is built with the tag onnxruntime.
package onnx
