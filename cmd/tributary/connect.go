package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/config"
)

// connectTimeout bounds one attempt to connect. A person is waiting.
const connectTimeout = 5 * time.Second

// dialNATS reaches the running system. The caller calls the function it
// returns when done.
func dialNATS(_ context.Context, cfg *config.Loaded) (client, func(), error) {
	url, err := natsURL(cfg)
	if err != nil {
		return nil, nil, err
	}
	nc, err := connectNATS(cfg.NATS, url, "tributary cli", nats.Timeout(connectTimeout), nats.MaxReconnects(3))
	if err != nil {
		return nil, nil, &exitError{exitUnreachable, err}
	}
	return api.NewClient(nc, cfg.KB), nc.Close, nil
}

// natsURL is the configured URL, or that of the `up` on the data folder.
func natsURL(cfg *config.Loaded) (string, error) {
	if cfg.NATS.URL != "" {
		return cfg.NATS.URL, nil
	}
	r, err := ReadRunFile(cfg.Data)
	return r.NATS, err
}

// connectNATS connects to url with the credentials of n. The error names the
// address, never a secret.
func connectNATS(n config.NATS, url, name string, extra ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{nats.Name(name)}, extra...)
	if n.CredsFile != "" {
		options = append(options, nats.UserCredentials(n.CredsFile))
	}
	user, password, err := n.Credentials()
	if err != nil {
		return nil, err
	}
	if user != "" {
		options = append(options, nats.UserInfo(user, password))
	}
	nc, err := nats.Connect(url, options...)
	if errors.Is(err, nats.ErrNoServers) {
		return nil, fmt.Errorf("connect to %s: nothing answers there; is it running? (%w)", config.Redact(url), err)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Redact(url), err)
	}
	return nc, nil
}
