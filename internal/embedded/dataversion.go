package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// NewerDataError is returned when a data folder was written by a newer
// Weaviate, which an older one may damage.
type NewerDataError struct {
	Dir    string // the folder
	Data   string // version that wrote it last
	Server string // version that was to run on it
}

// Error names both versions and the ways out.
func (e *NewerDataError) Error() string {
	return fmt.Sprintf("data folder %s was written by Weaviate %s and must not be opened by the older %s: "+
		"run a Tributary that brings %s or newer, or choose another data folder and index again",
		e.Dir, e.Data, e.Server, e.Data)
}

func dataVersionPath(dir string) string { return filepath.Join(dir, "version") }

// refuseNewerData returns a *NewerDataError when the data in dir are newer
// than the server. A folder without a version is new.
func refuseNewerData(dir, server string) error {
	text, err := os.ReadFile(dataVersionPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read version of the data: %w", err)
	}
	data := strings.TrimSpace(string(text))
	have, err := parseVersion(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", dataVersionPath(dir), err)
	}
	want, err := parseVersion(server)
	if err != nil {
		return err
	}
	if slices.Compare(have[:], want[:]) > 0 {
		return &NewerDataError{Dir: dir, Data: data, Server: server}
	}
	return nil
}

// writeDataVersion notes which version works on the data.
func writeDataVersion(dir, version string) error {
	return writeFile(dataVersionPath(dir), []byte(version+"\n"))
}

// parseVersion reads major.minor.patch; what follows a hyphen is ignored.
func parseVersion(version string) (parts [3]int, err error) {
	release, _, _ := strings.Cut(version, "-")
	fields := strings.Split(release, ".")
	if len(fields) != len(parts) {
		return parts, fmt.Errorf("weaviate version %q is not of the form 1.2.3", version)
	}
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 31)
		if err != nil {
			return parts, fmt.Errorf("weaviate version %q is not of the form 1.2.3", version)
		}
		parts[i] = int(n)
	}
	return parts, nil
}
