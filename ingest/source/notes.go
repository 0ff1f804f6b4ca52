package source

import "fmt"

// maxNotes is how many notes a listing carries. What is beyond is counted.
const maxNotes = 20

// notes are what a listing has to say to a person.
type notes struct {
	kept []string
	more int
}

func (n *notes) add(format string, args ...any) {
	if len(n.kept) == maxNotes {
		n.more++
		return
	}
	n.kept = append(n.kept, fmt.Sprintf(format, args...))
}

func (n *notes) all() []string {
	if n.more == 0 {
		return n.kept
	}
	return append(n.kept, fmt.Sprintf("and %d more of the kind", n.more))
}

// tooMany notes that a source has more documents than it may.
func (n *notes) tooMany(limit int) {
	n.kept = append(n.kept, fmt.Sprintf("there are more documents than the limit of %d (max_documents), the rest is left out", limit))
}
