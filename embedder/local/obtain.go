package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tributary-kb/tributary/internal/flock"
)

// Endpoint is where models are downloaded from, unless HF_ENDPOINT in the
// environment names a mirror.
const Endpoint = "https://huggingface.co"

// ObtainConfig says which model is wanted and where it is kept. Only Name must
// be set.
type ObtainConfig struct {
	// Name is the owner and name of the model: "minishlab/potion-retrieval-32M".
	Name string
	// Revision is a branch, a tag or a commit; "" means main. What it meant at
	// the first download holds until its folder is removed.
	Revision string
	// CacheDir keeps the files; "" means tributary/models in the user's cache
	// directory.
	CacheDir string
	// Endpoint replaces that of the environment.
	Endpoint string
	// Client downloads; nil means one that gives up after 30 seconds without
	// an answer.
	Client *http.Client
	// Progress, if set, is told what is downloaded, how many bytes of it are
	// there, and how many it has.
	Progress func(stage string, done, total int64)
}

// What is needed of a model: weights and tokenizer always, the rest if it is
// there.
var (
	neededFiles = []string{weightsFile, tokenizerFile}
	otherFiles  = regexp.MustCompile(`^(config|modules|sentence_bert_config|config_sentence_transformers|[0-9]+_Pooling/config)\.json$`)
	validName   = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	validRev    = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*$`)
	validCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// manifestFile is written last: where it is, the model is complete.
const manifestFile = "tributary-manifest.json"

type manifest struct {
	Name   string            `json:"name"`
	Commit string            `json:"commit"`
	SHA256 map[string]string `json:"sha256"` // by file
}

func (c *ObtainConfig) setDefaults() error {
	if !validName.MatchString(c.Name) {
		return fmt.Errorf("%q is not the name of a model: want owner/name", c.Name)
	}
	if c.Revision == "" {
		c.Revision = "main"
	}
	if !validRev.MatchString(c.Revision) {
		return fmt.Errorf("%q is not a revision: want a branch, a tag or a commit", c.Revision)
	}
	if c.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		c.CacheDir = filepath.Join(dir, "tributary", "models")
	}
	for _, at := range []string{os.Getenv("HF_ENDPOINT"), Endpoint} {
		if c.Endpoint == "" {
			c.Endpoint = at
		}
	}
	c.Endpoint = strings.TrimSuffix(c.Endpoint, "/")
	if c.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = 30 * time.Second
		c.Client = &http.Client{Transport: transport}
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	return nil
}

// Obtain returns the folder of a model, which it downloads if it is not there.
// A model that is there needs no network. Every file is checked against the
// checksum that the server gives for it, which guards against damage and
// trusts the server; what was downloaded of a file is kept for the next try.
// Processes that obtain the same model wait for each other.
//
// HF_TOKEN in the environment is sent to the endpoint, for models that need
// it.
func Obtain(ctx context.Context, cfg ObtainConfig) (dir string, err error) {
	if err := cfg.setDefaults(); err != nil {
		return "", fmt.Errorf("obtain model: %w", err)
	}
	dir = filepath.Join(cfg.CacheDir, strings.ReplaceAll(cfg.Name, "/", "--"), cfg.Revision)
	if complete(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("obtain model: %w", err)
	}
	lock, err := flock.Exclusive(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("obtain model: %w", err)
	}
	defer lock.Close()
	if complete(dir) { // by the process that held the lock
		return dir, nil
	}
	if err := cfg.download(ctx, dir); err != nil {
		return "", fmt.Errorf("obtain model %s at %s from %s: %w", cfg.Name, cfg.Revision, cfg.Endpoint, err)
	}
	return dir, nil
}

// complete reports whether all files of the manifest are there.
func complete(dir string) bool {
	var m manifest
	if readJSON(dir, manifestFile, false, &m) != nil || len(m.SHA256) == 0 {
		return false
	}
	for name := range m.SHA256 {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return false
		}
	}
	return true
}

// download gets the files of one commit, and writes the manifest.
func (c *ObtainConfig) download(ctx context.Context, dir string) error {
	commit, files, err := c.list(ctx)
	if err != nil {
		return err
	}
	m := manifest{Name: c.Name, Commit: commit, SHA256: map[string]string{}}
	for _, name := range files {
		d := download{ObtainConfig: c, name: name, path: filepath.Join(dir, filepath.FromSlash(name)),
			url: fmt.Sprintf("%s/%s/resolve/%s/%s", c.Endpoint, c.Name, commit, name)}
		if m.SHA256[name], err = d.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, manifestFile+".part")
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, manifestFile))
}

// list asks which commit the revision is, and which of its files are wanted.
func (c *ObtainConfig) list(ctx context.Context) (commit string, files []string, err error) {
	resp, err := c.get(ctx, fmt.Sprintf("%s/api/models/%s/revision/%s", c.Endpoint, c.Name, c.Revision), 0, c.Client)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	var reply struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 16<<20)).Decode(&reply); err != nil {
		return "", nil, fmt.Errorf("list its files: %w", err)
	}
	if !validCommit.MatchString(reply.SHA) {
		return "", nil, errors.New("list its files: the reply names no commit")
	}
	for _, s := range reply.Siblings {
		if slices.Contains(neededFiles, s.Name) || otherFiles.MatchString(s.Name) {
			files = append(files, s.Name)
		}
	}
	for _, name := range neededFiles {
		if !slices.Contains(files, name) {
			return "", nil, fmt.Errorf("the model has no %s", name)
		}
	}
	return reply.SHA, files, nil
}

// get sends one request, for what follows the first from bytes. It is an error
// if the answer is neither that, nor the whole, nor that there is no such part.
func (c *ObtainConfig) get(ctx context.Context, url string, from int64, client *http.Client) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // lengths and checksums are of the file
	if token := os.Getenv("HF_TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return resp, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		err = fmt.Errorf("HTTP %s: there is no such model, or it needs a token in HF_TOKEN", resp.Status)
	default:
		err = fmt.Errorf("HTTP %s", resp.Status)
	}
	resp.Body.Close()
	return nil, err
}
