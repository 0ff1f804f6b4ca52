package follow_test

import (
	"fmt"
	"time"

	"github.com/tributary-kb/tributary/internal/follow"
)

func ExampleConfig() {
	var c follow.Config
	c.SetDefaults()
	c.MaxInterval = time.Second
	fmt.Println(c.Validate())
	// Output: sources.max_interval is 1s, want at least sources.min_interval (1m0s)
}
