package push_test

import (
	"fmt"

	"github.com/tributary-kb/tributary/internal/push"
)

func ExampleRead() {
	changes, err := push.Read(push.Message{Body: []byte(`{
		"specversion": "1.0", "id": "7", "type": "org.example.page.edited",
		"source": "https://wiki.example", "subject": "opening-hours",
		"datacontenttype": "text/markdown", "data": "We are open from nine to five."
	}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(changes[0].Op, changes[0].URI, changes[0].ContentType)
	// Output: put https://wiki.example/opening-hours text/markdown
}
