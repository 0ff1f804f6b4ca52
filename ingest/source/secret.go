package source

import (
	"fmt"
	"os"
	"strings"

	"github.com/tributary-kb/tributary"
)

// secret reads the secret of a source, "" if it has none. Its errors tell
// where the secret was looked for and nothing of it.
func secret(o tributary.SourceOptions) (string, error) {
	switch {
	case o.SecretFile != "":
		data, err := os.ReadFile(o.SecretFile)
		if err != nil {
			return "", fmt.Errorf("secret_file: %w", err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	case o.SecretEnv != "":
		value, ok := os.LookupEnv(o.SecretEnv)
		if !ok {
			return "", fmt.Errorf("secret_env: the environment has no variable %q", o.SecretEnv)
		}
		return value, nil
	}
	return "", nil
}
