package local

import (
	"fmt"
	"path"
)

// A pooling makes one vector of the states of tokens, width numbers each, and
// adds it to v.
type pooling struct {
	name string
	add  func(v, states []float32)
}

var poolings = map[string]pooling{
	"pooling_mode_cls_token":   {"cls", func(v, states []float32) { addTo(v, states[:len(v)], 1) }},
	"pooling_mode_lasttoken":   {"last", func(v, states []float32) { addTo(v, states[len(states)-len(v):], 1) }},
	"pooling_mode_mean_tokens": {"mean", addMean},
}

func addTo(v, x []float32, weight float32) {
	for i := range v {
		v[i] += weight * x[i]
	}
}

func addMean(v, states []float32) {
	weight := float32(len(v)) / float32(len(states))
	for ; len(states) > 0; states = states[len(v):] {
		addTo(v, states[:len(v)], weight)
	}
}

// A module is a step of a sentence-transformers model.
type module struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// readPooling reads modules.json and the pooling it names. Without it the mean
// is taken, as sentence-transformers does. What comes after the pooling may
// only be a normalisation, which is done to all vectors.
func readPooling(dir string) (pooling, error) {
	var modules []module
	if err := readJSON(dir, "modules.json", true, &modules); err != nil {
		return pooling{}, err
	}
	p := poolings["pooling_mode_mean_tokens"]
	for _, m := range modules {
		var err error
		switch kind := path.Ext("x." + m.Type); kind {
		case ".Transformer", ".Normalize":
		case ".Pooling":
			p, err = readPoolingConfig(dir, m.Path)
		default:
			err = fmt.Errorf("modules.json: module %s is not supported", m.Type)
		}
		if err != nil {
			return pooling{}, err
		}
	}
	return p, nil
}

func readPoolingConfig(dir, name string) (pooling, error) {
	var config map[string]any
	file := path.Join(path.Base(name), "config.json")
	if err := readJSON(dir, file, false, &config); err != nil {
		return pooling{}, err
	}
	var found []pooling
	for mode, on := range config {
		if on != true || len(mode) < len("pooling_mode") || mode[:len("pooling_mode")] != "pooling_mode" {
			continue
		}
		p, ok := poolings[mode]
		if !ok {
			return pooling{}, fmt.Errorf("%s: %s is not supported", file, mode)
		}
		found = append(found, p)
	}
	if len(found) != 1 {
		return pooling{}, fmt.Errorf("%s turns %d poolings on, want 1", file, len(found))
	}
	return found[0], nil
}
