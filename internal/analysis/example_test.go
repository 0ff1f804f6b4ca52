package analysis_test

import (
	"fmt"

	"github.com/tributary-kb/tributary/internal/analysis"
)

func ExampleTerms() {
	fmt.Println(analysis.Terms("Durable consumers: see max_ack_pending.", ""))
	// Output: [durabl consum see max_ack_pending max ack pend]
}

func ExampleField() {
	fmt.Println(analysis.Field("The Streams of JS.API", ""))
	// Output: stream js.api js api
}
