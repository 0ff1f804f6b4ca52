package tributary

import (
	"fmt"
	"strings"
)

// CheckSubject reports why documents cannot be taken from a NATS subject.
// Wildcards are allowed as long as they do not reach what is Tributary's own.
func CheckSubject(subject string) error {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return fmt.Errorf("subject %q: it has an empty token", subject)
		case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return fmt.Errorf("subject %q: it has spaces or control characters", subject)
		case token == ">" && i < len(tokens)-1:
			return fmt.Errorf("subject %q: > stands at the end only", subject)
		case len(token) > 1 && strings.ContainsAny(token, "*>"):
			return fmt.Errorf("subject %q: a wildcard is a token of its own", subject)
		}
	}
	first := tokens[0]
	switch {
	case first == "*" || first == ">":
		return fmt.Errorf("subject %q: it takes in the subjects of Tributary and NATS themselves; begin with a word of your own", subject)
	case first == "tributary" || strings.HasPrefix(first, "tributary-"):
		return fmt.Errorf("subject %q: subjects that begin with tributary are Tributary's own", subject)
	case strings.HasPrefix(first, "$") || first == "_INBOX":
		return fmt.Errorf("subject %q: subjects that begin with $ or _INBOX belong to NATS", subject)
	}
	return nil
}
