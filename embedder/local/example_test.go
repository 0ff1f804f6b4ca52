package local_test

import (
	"context"
	"fmt"

	"github.com/tributary-kb/tributary/embedder/local"
)

func ExampleOpenStatic() {
	m, err := local.OpenStatic("testdata/static") // a model of four words
	if err != nil {
		fmt.Println(err)
		return
	}
	vectors, err := m.Embed(context.Background(), []string{"red green", "a red rose"})
	fmt.Println(vectors, err)
	// Output: [[0.6 0.8] [1 0]] <nil>
}
