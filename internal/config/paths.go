package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// FileName is the name of the configuration file in the user's configuration
// folder.
const FileName = "tributary.yaml"

// DefaultData returns the user's data folder for Tributary: below
// XDG_DATA_HOME or ~/.local/share, on macOS ~/Library/Application Support, on
// Windows LocalAppData.
func DefaultData() (string, error) { return defaultData(runtime.GOOS, os.Getenv, os.UserHomeDir) }

func defaultData(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	if goos == "windows" {
		if dir := getenv("LocalAppData"); dir != "" {
			return filepath.Join(dir, "tributary"), nil
		}
		return "", errors.New("data: LocalAppData is not set; name a folder with --data")
	}
	// The XDG rules ignore a relative path.
	if dir := getenv("XDG_DATA_HOME"); goos != "darwin" && filepath.IsAbs(dir) {
		return filepath.Join(dir, "tributary"), nil
	}
	dir, err := home()
	if err != nil {
		return "", fmt.Errorf("data: %w; name a folder with --data", err)
	}
	if goos == "darwin" {
		return filepath.Join(dir, "Library", "Application Support", "tributary"), nil
	}
	return filepath.Join(dir, ".local", "share", "tributary"), nil
}

// DefaultFile returns where the configuration file is looked for when none is
// named: tributary/tributary.yaml in the user's configuration folder. It is
// "" if the user has none.
func DefaultFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "tributary", FileName)
}
