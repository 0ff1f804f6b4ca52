package bert

import "fmt"

// Config is what is needed of a model's config.json.
type Config struct {
	ModelType    string            `json:"model_type"`
	Hidden       int               `json:"hidden_size"`
	Layers       int               `json:"num_hidden_layers"`
	Heads        int               `json:"num_attention_heads"`
	Intermediate int               `json:"intermediate_size"`
	Activation   string            `json:"hidden_act"`
	Positions    int               `json:"max_position_embeddings"`
	PositionKind string            `json:"position_embedding_type"`
	Types        int               `json:"type_vocab_size"`
	Vocabulary   int               `json:"vocab_size"`
	Epsilon      float64           `json:"layer_norm_eps"`
	Padding      int               `json:"pad_token_id"`
	Labels       map[string]string `json:"id2label"`
}

// Check reports what this package cannot do, or what makes no sense.
func (c Config) Check() error {
	switch c.ModelType {
	case "bert", "roberta", "xlm-roberta":
	default:
		return fmt.Errorf("model_type %q is not supported, only bert, roberta and xlm-roberta are", c.ModelType)
	}
	if c.PositionKind != "" && c.PositionKind != "absolute" {
		return fmt.Errorf("position_embedding_type %q is not supported, only absolute is", c.PositionKind)
	}
	if _, ok := activations[c.Activation]; !ok {
		return fmt.Errorf("hidden_act %q is not supported", c.Activation)
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"hidden_size", c.Hidden}, {"num_hidden_layers", c.Layers}, {"num_attention_heads", c.Heads},
		{"intermediate_size", c.Intermediate}, {"max_position_embeddings", c.Positions},
		{"type_vocab_size", c.Types}, {"vocab_size", c.Vocabulary},
	} {
		if f.value < 1 || f.value > 1<<24 {
			return fmt.Errorf("%s is %d", f.name, f.value)
		}
	}
	if c.Hidden%c.Heads != 0 {
		return fmt.Errorf("hidden_size %d is no multiple of num_attention_heads %d", c.Hidden, c.Heads)
	}
	if c.MaxTokens() < 3 {
		return fmt.Errorf("max_position_embeddings is %d, which leaves no room for a text", c.Positions)
	}
	return nil
}

// firstPosition is the position of the first token: RoBERTa and its kin, of
// which onnxruntime computes some that this package does not, count from behind
// the one of padding.
func (c Config) firstPosition() int {
	switch c.ModelType {
	case "roberta", "xlm-roberta", "camembert", "mpnet":
		return c.Padding + 1
	}
	return 0
}

// MaxTokens is how long an input may be.
func (c Config) MaxTokens() int { return c.Positions - c.firstPosition() }
