package embedder

import (
	"net/http"
)

// The providers. All but the lexical one are servers that are spoken to over
// HTTP.
const (
	ProviderLexical = "lexical" // built in, see lexical.go
	ProviderOpenAI  = "openai"  // any server with OpenAI's POST /embeddings
	ProviderOllama  = "ollama"
	ProviderCohere  = "cohere"
	ProviderVoyage  = "voyage"
	ProviderJina    = "jina"
	ProviderTEI     = "tei" // text-embeddings-inference of Hugging Face
)

// A provider is what is known of a service before it is asked.
type provider struct {
	baseURL string // where it is unless configured
	limits  Limits // what every installation of it accepts
	// knowsRoles says that it tells queries from documents by itself, so that
	// texts need no prefix.
	knowsRoles bool
	// refusesLong says that it is told to refuse a text that is too long, and
	// not to cut it.
	refusesLong bool
	wire        func(Config) wire
}

// The limits leave room for the error of analysis.CountTokens where a server
// has a limit of tokens.
var providers = map[string]provider{
	ProviderOpenAI: {
		baseURL: "https://api.openai.com/v1",
		limits:  Limits{Inputs: 32, Tokens: 100_000, Bytes: 1 << 20},
		wire:    func(c Config) wire { return openAI{c} },
	},
	ProviderOllama: {
		baseURL: "http://localhost:11434", refusesLong: true,
		limits: Limits{Inputs: 32, Tokens: 100_000, Bytes: 1 << 20},
		wire:   func(c Config) wire { return ollama{c} },
	},
	ProviderCohere: {
		baseURL: "https://api.cohere.com", knowsRoles: true, refusesLong: true,
		limits: Limits{Inputs: 96, Tokens: 100_000, Bytes: 1 << 20},
		wire:   func(c Config) wire { return cohere{c} },
	},
	ProviderVoyage: {
		baseURL: "https://api.voyageai.com/v1", knowsRoles: true, refusesLong: true,
		limits: Limits{Inputs: 128, Tokens: 80_000, Bytes: 1 << 20}, // of 120,000 for the largest models
		wire:   func(c Config) wire { return voyage{c} },
	},
	ProviderJina: {
		baseURL: "https://api.jina.ai/v1", knowsRoles: true, refusesLong: true,
		limits: Limits{Inputs: 128, Tokens: 100_000, Bytes: 1 << 20},
		wire:   func(c Config) wire { return jina{c} },
	},
	ProviderTEI: {
		baseURL: "http://localhost:8080", refusesLong: true,
		limits: Limits{Inputs: 32, Tokens: 100_000, Bytes: 1 << 20}, // of 2 MB; GET /info may lower the inputs
		wire:   func(c Config) wire { return tei{c} },
	},
}

// A wire is the form of one provider's requests and replies.
type wire interface {
	// request returns the path below the base URL and the body that asks for
	// the vectors of texts, to be encoded as JSON.
	request(texts []string, role Role) (path string, body any)
	// read decodes a successful response to a request with count texts. A
	// reply that does not answer the request is a *malformedError.
	read(resp *http.Response, count int) (reply, error)
}
