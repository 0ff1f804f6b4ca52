package local

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// The files of a model.
const (
	weightsFile   = "model.safetensors"
	tokenizerFile = "tokenizer.json" //nolint:gosec // the tokens are words
)

// sumOf returns the SHA-256 of a file.
func sumOf(path string) (string, error) {
	sum := sha256.New()
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// revisionOf returns the first 12 hexadecimal digits of the SHA-256 of the
// files one after the other.
func revisionOf(paths ...string) (string, error) {
	sum := sha256.New()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}
