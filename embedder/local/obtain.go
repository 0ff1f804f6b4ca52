package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	// the first download holds for later ones, until the lock file is removed.
	Revision string
	// SHA256 are checksums, in hexadecimal digits, that files must have, by
	// their names: "model.safetensors".
	SHA256 map[string]string
	// Graph asks for the graph that onnxruntime computes as well; the weights
	// are then not needed, but taken along if they are there.
	Graph bool
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

// What is taken of a model if it is there, and the form of what users say.
var (
	wantedFiles = regexp.MustCompile(`^(model\.safetensors|(tokenizer|config|modules|sentence_bert_config|config_sentence_transformers|[0-9]+_Pooling/config)\.json)$`)
	wantedGraph = regexp.MustCompile(`^(onnx/)?model\.onnx(_data)?$`)
	validSum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
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
	if err := ValidatePins(c.SHA256); err != nil {
		return fmt.Errorf("sha256 %w", err)
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
// trusts the server, against SHA256, and against the checksum that it had at
// the first download of the revision, which stands in the lock file
// tributary-lock.json: the first use is trusted, later ones must be the same.
// What was downloaded of a file is kept for the next try.
// Processes that obtain the same model wait for each other.
//
// HF_TOKEN in the environment is sent to the endpoint, for models that need
// it.
func Obtain(ctx context.Context, cfg ObtainConfig) (dir string, err error) {
	if err := cfg.setDefaults(); err != nil {
		return "", fmt.Errorf("obtain model: %w", err)
	}
	dir = filepath.Join(cfg.CacheDir, strings.ReplaceAll(cfg.Name, "/", "--"), cfg.Revision)
	if m := cfg.complete(dir); m != nil {
		return dir, cfg.described(cfg.checkAll(dir, *m))
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("obtain model: %w", err)
	}
	lock, err := flock.Exclusive(ctx, filepath.Join(filepath.Dir(dir), "lock"))
	if err != nil {
		return "", fmt.Errorf("obtain model: %w", err)
	}
	defer lock.Close()
	if m := cfg.complete(dir); m != nil { // by the process that held the lock
		return dir, cfg.described(cfg.checkAll(dir, *m))
	}
	if err := cfg.download(ctx, dir); err != nil {
		return "", cfg.described(err)
	}
	return dir, nil
}

func (c *ObtainConfig) described(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("obtain model %s at %s from %s: %w", c.Name, c.Revision, c.Endpoint, err)
}

// complete returns the manifest if all its files are there, and among them all
// that are needed.
func (c *ObtainConfig) complete(dir string) *manifest {
	var m manifest
	if readJSON(dir, manifestFile, false, &m) != nil || c.missing(slices.Collect(maps.Keys(m.SHA256))) != "" {
		return nil
	}
	for name := range m.SHA256 {
		if !exists(dir, filepath.FromSlash(name)) {
			return nil
		}
	}
	return &m
}

// missing returns what is needed of a model and not among the files.
func (c *ObtainConfig) missing(files []string) string {
	needed := []string{tokenizerFile, weightsFile}
	if c.Graph {
		needed[1] = graphFiles[0]
		if slices.Contains(files, filepath.ToSlash(graphFiles[1])) {
			needed = needed[:1]
		}
	}
	for _, name := range needed {
		if !slices.Contains(files, name) {
			return name
		}
	}
	return ""
}

// download gets the files of one commit, that of the first download, and
// writes manifest and lock.
func (c *ObtainConfig) download(ctx context.Context, dir string) error {
	locked, err := c.readLock(dir)
	if err != nil {
		return err
	}
	commit, files, err := c.list(ctx, cmp.Or(locked.Commit, c.Revision))
	if err != nil {
		return err
	}
	if locked.Commit != "" && commit != locked.Commit {
		return fmt.Errorf("the server says that commit %s is %s", locked.Commit, commit)
	}
	m := manifest{Name: c.Name, Commit: commit, SHA256: map[string]string{}}
	for _, name := range files {
		d := download{ObtainConfig: c, name: name, path: filepath.Join(dir, filepath.FromSlash(name)),
			url: fmt.Sprintf("%s/%s/resolve/%s/%s", c.Endpoint, c.Name, commit, name)}
		if sum, err := sumOf(d.path); err == nil && sum == locked.SHA256[name] {
			m.SHA256[name] = sum
		} else if m.SHA256[name], err = d.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := c.checkSum(dir, name, m.SHA256[name], locked); err != nil {
			return errors.Join(err, os.Remove(d.path))
		}
	}
	if err := c.checkAll(dir, m); err != nil {
		return err
	}
	if err := c.writeLock(dir, m); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, manifestFile), m)
}

// list asks which commit the revision is, and which of its files are wanted.
func (c *ObtainConfig) list(ctx context.Context, revision string) (commit string, files []string, err error) {
	resp, err := c.get(ctx, fmt.Sprintf("%s/api/models/%s/revision/%s", c.Endpoint, c.Name, revision), 0, c.Client)
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
		if wantedFiles.MatchString(s.Name) || c.Graph && wantedGraph.MatchString(s.Name) {
			files = append(files, s.Name)
		}
	}
	if name := c.missing(files); name != "" {
		return "", nil, fmt.Errorf("the model has no %s", name)
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
