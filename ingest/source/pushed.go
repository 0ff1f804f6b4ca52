package source

import (
	"fmt"
	"strings"

	"github.com/tributary-kb/tributary"
)

// pushedOptions has a line for each kind whose documents come by themselves.
var pushedOptions = map[tributary.SourceKind][]string{
	tributary.SourceSubject: {"host", "language", "max_documents", "metadata"},
	tributary.SourceWebhook: {"language", "max_documents", "metadata", "secret_file", "secret_env"},
}

// CheckPushed reports why documents cannot come from s by themselves as it is
// described.
func CheckPushed(s tributary.Source) error {
	if err := checkOptions(s, pushedOptions[s.Kind]); err != nil {
		return fmt.Errorf("source %q: %w", s.Name, err)
	}
	if s.Kind == tributary.SourceWebhook && s.Options.SecretFile == "" && s.Options.SecretEnv == "" {
		return fmt.Errorf("source %q: a webhook needs a secret, from secret_file or secret_env: what nobody signed is not taken", s.Name)
	}
	return nil
}

// minSecret is how many bytes a secret of a webhook has at least.
const minSecret = 16

// Secrets returns the secrets of a webhook, at least one. There are several
// while one replaces another.
func Secrets(o tributary.SourceOptions) ([]string, error) {
	text, err := secret(o)
	if err != nil {
		return nil, err
	}
	secrets := strings.Fields(text)
	if len(secrets) == 0 {
		return nil, fmt.Errorf("the secret is empty")
	}
	for _, s := range secrets {
		if len(s) < minSecret {
			return nil, fmt.Errorf("a secret has %d bytes, want at least %d", len(s), minSecret)
		}
	}
	return secrets, nil
}
