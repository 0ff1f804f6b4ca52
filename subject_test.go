package tributary

import "testing"

func TestSubjectsThatDocumentsMayComeFrom(t *testing.T) {
	for subject, ok := range map[string]bool{
		"docs": true, "docs.wiki": true, "docs.*.edited": true, "docs.>": true, "tributaries.a": true,
		"": false, ".": false, "docs.": false, "a b": false, "docs.>.a": false, "docs.a*": false,
		"*": false, ">": false, "*.docs": false, "tributary.default.add": false, "tributary.>": false,
		"tributary-ingest.live.>": false, "tributary-dead.>": false, "$KV.tributary-items.>": false, "$JS.API.>": false, "_INBOX.a": false,
	} {
		if err := CheckSubject(subject); (err == nil) != ok {
			t.Errorf("%q: %v", subject, err)
		}
	}
}
