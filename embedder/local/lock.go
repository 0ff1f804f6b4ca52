package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lockFile says for each revision of a model what its first download got. It
// lies beside the folders of the revisions, so that it is still there when one
// of them was removed.
const lockFile = "tributary-lock.json"

// readLock returns what later downloads of the revision must get, nothing if
// this is the first.
func (c *ObtainConfig) readLock(dir string) (manifest, error) {
	locked := map[string]manifest{}
	err := readJSON(filepath.Dir(dir), lockFile, true, &locked)
	return locked[c.Revision], err
}

// writeLock adds what was got to what is locked already.
func (c *ObtainConfig) writeLock(dir string, got manifest) error {
	parent := filepath.Dir(dir)
	locked := map[string]manifest{}
	if err := readJSON(parent, lockFile, true, &locked); err != nil {
		return err
	}
	for name, sum := range locked[c.Revision].SHA256 {
		got.SHA256[name] = sum
	}
	locked[c.Revision] = got
	return writeJSON(filepath.Join(parent, lockFile), locked)
}

// writeJSON replaces the file at once.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+partialSuffix, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+partialSuffix, path)
}

// checkSum compares the SHA-256 of a file with what is pinned and with what
// the first download got.
func (c *ObtainConfig) checkSum(dir, name, sum string, locked manifest) error {
	if want := c.SHA256[name]; want != "" && want != sum {
		return fmt.Errorf("%s has SHA-256 %s, the setting sha256 wants %s", name, sum, want)
	}
	if want := locked.SHA256[name]; want != "" && want != sum {
		return fmt.Errorf("%s has SHA-256 %s, at the first download it had %s; if the change is wanted, remove %s",
			name, sum, want, filepath.Join(filepath.Dir(dir), lockFile))
	}
	return nil
}

// checkAll does the same for all files of a model that is there. Every pin
// must belong to one.
func (c *ObtainConfig) checkAll(dir string, got manifest) error {
	for name := range c.SHA256 {
		if got.SHA256[name] == "" {
			return fmt.Errorf("the setting sha256 names %q, which is not one of the files that are wanted", name)
		}
	}
	for name, sum := range got.SHA256 {
		if err := c.checkSum(dir, name, sum, manifest{}); err != nil {
			return err
		}
	}
	return nil
}

// ValidatePins reports what is not a SHA-256 in 64 hexadecimal digits.
func ValidatePins(pins map[string]string) error {
	for name, sum := range pins {
		if !validSum.MatchString(sum) {
			return fmt.Errorf("of %q is %q, want 64 hexadecimal digits in lower case", name, sum)
		}
	}
	return nil
}

// Verify compares files in a folder with their SHA-256, by their names.
func Verify(dir string, pins map[string]string) error {
	for name, want := range pins {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("%q is outside of the model's folder", name)
		}
		sum, err := sumOf(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the setting sha256 names %q, which %s does not have", name, dir)
		}
		if err != nil {
			return err
		}
		if sum != want {
			return fmt.Errorf("%s in %s has SHA-256 %s, the setting sha256 wants %s", name, dir, sum, want)
		}
	}
	return nil
}
