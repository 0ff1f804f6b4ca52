package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/tributary-kb/tributary/internal/follow"
	"github.com/tributary-kb/tributary/internal/pipeline"
)

// names collects what is registered, without asking for values.
type names map[string]bool

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

func (n names) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 32)
	go func() { defer close(descs); c.Describe(descs) }()
	for d := range descs {
		n[fqName.FindStringSubmatch(d.String())[1]] = true
	}
	return nil
}

func (n names) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = n.Register(c) // it cannot fail
	}
}

func (n names) Unregister(prometheus.Collector) bool { return false }

// An alert on a metric that nobody exports never fires.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	exported := names{}
	follow.NewMetrics(exported)
	exported.MustRegister(&pipeline.LagCollector{})

	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations struct{ Summary, Action string }
			}
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	rules := 0
	metric := regexp.MustCompile(`tributary_\w+`)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			used := metric.FindAllString(r.Expr, -1)
			if r.Alert == "" || len(used) == 0 || r.Annotations.Summary == "" || r.Annotations.Action == "" {
				t.Errorf("rule %+v: want a name, a metric of ours, a summary and an action", r)
			}
			for _, name := range used {
				if !exported[strings.TrimSuffix(name, "_bucket")] {
					t.Errorf("alert %s: nobody exports %s; there are %v", r.Alert, name, exported)
				}
			}
		}
	}
	if rules < 4 {
		t.Errorf("%d rules, want at least those for stale and held sources, dead letters and lag", rules)
	}
}
