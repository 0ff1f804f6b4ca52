//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tributary-kb/tributary"
	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/embedded"
	"github.com/tributary-kb/tributary/internal/pipeline"
	"github.com/tributary-kb/tributary/internal/testenv"
)

// Streams reserve their limits, so what is configured for large disks must not
// keep up from starting on a small one.
func TestUpNeedsNoMoreRoomThanThereIs(t *testing.T) {
	n, err := embedded.StartNATS(t.Context(), embedded.NATSConfig{Dir: t.TempDir(), NoListen: true, MaxStore: 64 << 20, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Shutdown(context.WithoutCancel(t.Context())) }()
	js, err := jetstream.New(testenv.Connect(t, n))
	if err != nil {
		t.Fatal(err)
	}
	a := newApp()
	a.log = slog.New(slog.DiscardHandler)
	if a.cfg, err = config.Load(config.Sources{}); err != nil {
		t.Fatal(err)
	}
	cfg := (&machines{nats: n}).fitStages(a)
	if _, err := pipeline.Ensure(t.Context(), js, pipeline.StoreConfig{MaxStageBytes: cfg.NATS.MaxStageBytes}); err != nil {
		t.Errorf("with %d bytes for each stage: %v", cfg.NATS.MaxStageBytes, err)
	}
}

// TestUpFromStartToEnd is what a new user does, with everything that up
// manages itself.
func TestUpFromStartToEnd(t *testing.T) {
	in := newInstallation(t)
	in.managedWeaviate(t)
	up := in.start(t, "up")
	line := up.ready()

	t.Run("a second up on the folder names the first", func(t *testing.T) {
		second := in.run(t, "up")
		want := fmt.Sprintf("is in use by process %d", up.pid())
		if second.code != exitFailure || !strings.Contains(second.stderr, want) || second.stdout != "" {
			t.Errorf("the second up ended with %d, %q on standard output and %q on standard error, want %d, nothing, and %q",
				second.code, second.stdout, second.stderr, exitFailure, want)
		}
	})
	notes := folder(t, map[string]string{
		"teams.md": "# Teams\n\n## On call\n\nThe harbour team is on call from Monday to Thursday.\n",
		"tides.md": "# Tides\n\nSpring tides come two days after the new moon.\n",
	})
	t.Run("what was added can be found and asked about", func(t *testing.T) { lookAtNotes(t, in, notes) })
	t.Run("what was removed is gone", func(t *testing.T) { removeNote(t, in, notes) })
	t.Run("an empty file is refused, and status and show say so", func(t *testing.T) { addEmptyFile(t, in) })

	weaviatePID := in.weaviatePID(t)
	if code := up.interrupt(); code != exitOK {
		t.Errorf("up ended with %d after an interrupt, want %d", code, exitOK)
	}
	if got := up.out.lines(); len(got) != 1 || !strings.HasPrefix(line, "ready: NATS nats://127.0.0.1:") || !strings.Contains(line, in.data) {
		t.Errorf("up wrote %q to standard output, want one line that begins with \"ready: NATS\" and names %s", got, in.data)
	}
	awaitGone(t, weaviatePID)
	if _, err := os.Stat(filepath.Join(in.data, runFileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s after the end of up: %v, want it gone", runFileName, err)
	}
	if r := in.run(t, "status"); r.code != exitUnreachable || !strings.Contains(r.stderr, "tributary up") {
		t.Errorf("status after the end of up: code %d, %q, want %d and how to start it", r.code, r.stderr, exitUnreachable)
	}
}

func lookAtNotes(t *testing.T, in *installation, notes string) {
	added := in.objects(t, exitOK, "add", "--wait", notes)
	if len(added) != 2 {
		t.Fatalf("add printed %d objects, want 2: %v", len(added), added)
	}
	for _, line := range added {
		line.needs(t, "uri", "document", "version", "state", "chunks", "reason")
	}
	hits := in.objects(t, exitOK, "search", "who is on call?")
	if len(hits) == 0 {
		t.Fatal("nothing is found")
	}
	hits[0].needs(t, "rank", "score", "uri", "title", "text", "document", "version", "location")
	if uri, _ := hits[0]["uri"].(string); !strings.HasSuffix(uri, "/teams.md") || hits[0]["rank"] != 1.0 {
		t.Errorf("the first hit is %v, want teams.md", hits[0])
	}
	answer := in.objects(t, exitOK, "ask", "Which team is on call?")
	if len(answer) != 1 {
		t.Fatalf("ask printed %d objects, want 1", len(answer))
	}
	answer[0].needs(t, "answer", "citations", "generator")
	citations, _ := answer[0]["citations"].([]any)
	if len(citations) == 0 {
		t.Fatalf("the answer cites nothing: %v", answer[0])
	}
	first, _ := citations[0].(map[string]any)
	object(first).needs(t, "n", "uri", "text", "version")

	listed := in.objects(t, exitOK, "ls")
	if len(listed) != 2 {
		t.Errorf("ls printed %d objects, want 2", len(listed))
	}
	for _, line := range listed {
		line.needs(t, "uri", "document", "version", "state", "chunks", "changed")
	}
	shown := in.objects(t, exitOK, "show", filepath.Join(notes, "tides.md"))
	if len(shown) != 1 || shown[0]["state"] != "live" {
		t.Errorf("show printed %v, want one live document", shown)
	}
	if r := in.run(t, "status", "--check"); r.code != exitOK || !strings.Contains(r.stdout, "No problems.") {
		t.Errorf("status --check ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if all := in.objects(t, exitOK, "status"); len(all) != 1 {
		t.Errorf("status printed %d objects, want 1", len(all))
	}
}

func removeNote(t *testing.T, in *installation, notes string) {
	removed := in.objects(t, exitOK, "rm", "--wait", filepath.Join(notes, "teams.md"))
	if len(removed) != 1 {
		t.Fatalf("rm printed %d objects, want 1", len(removed))
	}
	removed[0].needs(t, "uri", "document", "version")
	for _, hit := range in.objects(t, exitOK, "search", "who is on call?") {
		if hit["uri"] == removed[0]["uri"] {
			t.Errorf("a removed document is found: %v", hit)
		}
	}
	if left := in.objects(t, exitOK, "ls"); len(left) != 1 {
		t.Errorf("ls printed %v, want one document", left)
	}
}

func addEmptyFile(t *testing.T, in *installation) {
	empty := filepath.Join(folder(t, map[string]string{"empty.md": ""}), "empty.md")
	r := in.run(t, "add", "--wait", empty)
	if r.code != exitRefused || !strings.Contains(r.stderr, "empty.md") {
		t.Errorf("add of an empty file ended with %d, %q, want %d and its name", r.code, r.stderr, exitRefused)
	}
	shown := in.objects(t, exitOK, "show", empty)
	if len(shown) != 1 || shown[0]["state"] != "rejected" || shown[0]["reason"] == "" {
		t.Errorf("show printed %v, want why it was refused", shown)
	}
	if r := in.run(t, "status"); !strings.Contains(r.stdout, "empty.md") {
		t.Errorf("status does not name the refused file:\n%s", r.stdout)
	}
}

func TestUpThatAsksTellsWhatItCouldNotAdd(t *testing.T) {
	in := newInstallation(t)
	in.sharedWeaviate(t)
	notes := folder(t, map[string]string{"tides.md": "# Tides\n\nSpring tides come two days after the new moon.\n", "empty.md": ""})
	up := in.run(t, "up", "--ask", "When do spring tides come?", notes)
	if up.code != exitRefused || !strings.Contains(up.stdout, "two days") || strings.Count(up.stderr, "1 document was refused") != 1 {
		t.Errorf("up ended with %d, %q and %q, want %d, an answer, and what was refused", up.code, up.stdout, up.stderr, exitRefused)
	}
}

func TestUpNamesTheSettingOfAPortThatIsTaken(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	in := newInstallation(t)
	in.sharedWeaviate(t)
	for _, flag := range []string{"listen", "http", "metrics"} {
		up := in.run(t, "up", "--"+flag, taken.Addr().String())
		setting := map[string]string{"listen": "nats.listen", "http": "gateway.listen", "metrics": "metrics.listen"}[flag]
		if up.code != exitFailure || !strings.Contains(up.stderr, setting) || !strings.Contains(up.stderr, "address already in use") {
			t.Errorf("up --%s ended with %d and %q, want %d and the setting %s", flag, up.code, up.stderr, exitFailure, setting)
		}
	}
}

func TestUpDoesNotOpenItselfToTheNetworkWithoutCredentials(t *testing.T) {
	in := newInstallation(t)
	in.sharedWeaviate(t)
	r := in.run(t, "up", "--listen", "0.0.0.0:0")
	if r.code != exitFailure && r.code != exitUsage || !strings.Contains(r.stderr, "0.0.0.0") || !strings.Contains(r.stderr, "credentials") || !strings.Contains(r.stderr, "nats.password_file") {
		t.Errorf("up ended with %d and %q, want a refusal", r.code, r.stderr)
	}
	if r.stdout != "" {
		t.Errorf("up wrote %q to standard output, want nothing", r.stdout)
	}
}

// Had the interrupted up kept messages to itself, the next one would get them
// after ten minutes.
func TestAnInterruptedUpLeavesNothingUnfinished(t *testing.T) {
	const files = 200
	in := newInstallation(t, "STAGES_ACK_WAIT=10m")
	in.sharedWeaviate(t)
	up := in.start(t, "--json", "up")
	var ready struct {
		PID  int    `json:"pid"`
		NATS string `json:"nats"`
		Data string `json:"data"`
	}
	fatal(t, json.Unmarshal([]byte(up.ready()), &ready))
	if ready.PID != up.pid() || ready.Data != in.data {
		t.Errorf("up says %+v, want process %d and folder %s", ready, up.pid(), in.data)
	}
	commits := countCommits(t, ready.NATS, in.kb)
	if added := in.objects(t, exitOK, "add", folder(t, manyNotes(files))); len(added) != files {
		t.Fatalf("%d receipts, want %d", len(added), files)
	}
	if !commits.await(t.Context(), 20, up.done) {
		t.Fatal("up has ended by itself")
	}
	if code := up.interrupt(); code != exitOK {
		t.Errorf("up ended with %d after an interrupt, want %d:\n%s", code, exitOK, up.err.tail(10))
	}
	up = in.start(t, "up")
	up.ready()
	awaitLive(t, in, files)
}

// awaitLive waits until this many documents can be searched and no stage has
// work left.
func awaitLive(t *testing.T, in *installation, documents int) {
	t.Helper()
	url := in.natsURL(t)
	c := api.NewClient(dial(t, url), in.kb)
	awaitIdle(t, c)
	live := 0
	fatal(t, c.List(t.Context(), tributary.ListRequest{}, func(item tributary.Item) error {
		if item.State == tributary.StateLive {
			live++
		}
		return nil
	}))
	if live != documents {
		t.Errorf("%d documents can be searched, want %d", live, documents)
	}
}

func TestWorkersShareTheStages(t *testing.T) {
	in := newInstallation(t)
	in.sharedWeaviate(t)
	server := testenv.NATSServer(t)
	in.set("NATS_URL=" + server.ClientURL())
	workers := []*process{
		in.start(t, "worker", "ingest", "chunk"), in.start(t, "worker", "embed"), in.start(t, "worker", "index", "query"),
	}
	c := api.NewClient(testenv.Connect(t, server), in.kb)
	awaitWorkers(t, c, 1)
	added := in.objects(t, exitOK, "add", folder(t, map[string]string{"heron.md": "# Heron\n\nThe heron stands in the reeds.\n"}))
	at := fmt.Sprintf("%v@%v", added[0]["document"], added[0]["version"])
	hits := in.objects(t, exitOK, "search", "--at-least", at, "where is the heron?")
	if len(hits) != 1 || hits[0]["version"] != added[0]["version"] {
		t.Errorf("search printed %v, want the version that was added", hits)
	}
	for _, w := range workers {
		if code := w.interrupt(); code != exitOK {
			t.Errorf("%s ended with %d after an interrupt, want %d:\n%s", w.cmd.Args, code, exitOK, w.err.tail(10))
		}
	}
	if r := in.run(t, "search", "heron"); r.code != exitUnreachable {
		t.Errorf("search without workers ended with %d, %q, want %d", r.code, r.stderr, exitUnreachable)
	}
}

func TestNothingIsLostWhenOneOfTwoIndexWorkersIsKilled(t *testing.T) {
	const files = 200
	in := newInstallation(t, "STAGES_ACK_WAIT=2s")
	in.sharedWeaviate(t)
	server := testenv.NATSServer(t)
	in.set("NATS_URL=" + server.ClientURL())
	in.start(t, "worker", "ingest", "chunk", "embed", "query")
	doomed, other := in.start(t, "worker", "index"), in.start(t, "worker", "index")
	c := api.NewClient(testenv.Connect(t, server), in.kb)
	awaitWorkers(t, c, 2)
	commits := countCommits(t, server.ClientURL(), in.kb)
	if added := in.objects(t, exitOK, "add", folder(t, manyNotes(files))); len(added) != files {
		t.Fatalf("%d receipts, want %d", len(added), files)
	}
	if !commits.await(t.Context(), 10, doomed.done) {
		t.Fatal("a worker has ended by itself")
	}
	doomed.kill()
	awaitLive(t, in, files)
	fatal(t, c.Verify(t.Context(), tributary.VerifyRequest{}, func(f tributary.Finding) error {
		if f.Kind != tributary.FindingSummary {
			t.Errorf("the audit finds %+v", f)
		}
		return nil
	}))
	if code := other.interrupt(); code != exitOK {
		t.Errorf("the worker that is left ended with %d after an interrupt, want %d", code, exitOK)
	}
}

// awaitWorkers waits until this many workers of each stage pull, and the
// services answer.
func awaitWorkers(t *testing.T, c *api.Client, index int) {
	t.Helper()
	testenv.Eventually(t, t.Context(), func() error {
		st, err := c.Status(t.Context())
		if err != nil {
			return err
		}
		for _, s := range st.Stages {
			if s.Workers == 0 || s.Stage == pipeline.Index && s.Workers < index {
				return fmt.Errorf("%d workers of stage %s, lane %s", s.Workers, s.Stage, s.Lane)
			}
		}
		return nil
	})
}

// object is a line of JSON output.
type object map[string]any

// needs checks that the object has these fields.
func (o object) needs(t testing.TB, fields ...string) {
	t.Helper()
	for _, f := range fields {
		if _, ok := o[f]; !ok {
			t.Errorf("no %q in %v", f, o)
		}
	}
}

// objects runs a command with --json, which must end with code, and returns
// what it prints.
func (in *installation) objects(t testing.TB, code int, args ...string) []object {
	t.Helper()
	r := in.run(t, append([]string{"--json"}, args...)...)
	if r.code != code {
		t.Fatalf("tributary %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	var all []object
	for line := range strings.Lines(r.stdout) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("tributary %s printed %q: %v", strings.Join(args, " "), line, err)
		}
		all = append(all, o)
	}
	return all
}

// natsURL is where the clients of the installation find NATS.
func (in *installation) natsURL(t testing.TB) string {
	t.Helper()
	const setting = "TRIBUTARY_NATS_URL="
	if i := slices.IndexFunc(in.env, func(e string) bool { return strings.HasPrefix(e, setting) }); i >= 0 {
		return strings.TrimPrefix(in.env[i], setting)
	}
	running, err := ReadRunFile(in.data)
	fatal(t, err)
	return running.NATS
}

func dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	fatal(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// countCommits counts the documents of kb that become visible from now on.
func countCommits(t testing.TB, url, kb string) *counter {
	t.Helper()
	c := newCounter()
	nc := dial(t, url)
	_, err := nc.Subscribe("tributary."+kb+".events.>", func(*nats.Msg) { c.add(1) })
	fatal(t, err)
	fatal(t, nc.Flush())
	return c
}

// folder makes a folder with these files.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		fatal(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// manyNotes is the contents of n files.
func manyNotes(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[strconv.Itoa(i)+".md"] = recordText(i, 0)
	}
	return files
}
