package main

import (
	"context"
	"errors"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/tributary-kb/tributary/internal/api"
	"github.com/tributary-kb/tributary/internal/config"
	"github.com/tributary-kb/tributary/internal/gateway"
)

// defaultGateway is where `tributary gateway` serves unless told otherwise.
const defaultGateway = "127.0.0.1:8322"

// gatewayGrace is how long requests under way may take when the gateway ends.
const gatewayGrace = 10 * time.Second

func newGateway(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "gateway",
		GroupID: groupRun,
		Short:   "Serve a running system over HTTP",
		Long: `Gateway serves a system that runs elsewhere over HTTP: a REST interface, whose
description is at /openapi.json, chat completions and models in OpenAI's form at
/v1, so that chat front ends can use a knowledge base as a model, and MCP at
/mcp. ` + "`tributary up --http HOST:PORT`" + ` does the same in one process.

Without a token (gateway.token_file) it serves this machine only.`,
		Example: `  tributary gateway
  tributary gateway --listen 127.0.0.1:8322 --nats nats://queue:4222`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE:              func(cmd *cobra.Command, _ []string) error { return a.gateway(cmd.Context()) },
	}
	cmd.Flags().SortFlags = false
	gatewayFlag(cmd, "listen")
	return cmd
}

func gatewayFlag(cmd *cobra.Command, name string) {
	configFlag(cmd.Flags(), name, "gateway.listen", "", "`HOST:PORT` to serve HTTP at: REST, chat completions, MCP")
}

func (a *app) gateway(ctx context.Context) error {
	if a.cfg.Gateway.Listen == "" {
		a.cfg.Gateway.Listen = defaultGateway
	}
	url, err := natsURL(a.cfg)
	if err != nil {
		return err
	}
	nc, err := connectNATS(a.cfg.NATS, url, "tributary gateway", stayConnected(a)...)
	if err != nil {
		return &exitError{exitUnreachable, err}
	}
	defer nc.Close()
	g, err := a.openGateway(ctx, nc)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(struct {
			Gateway string `json:"gateway"`
		}{g.URL()})
	} else {
		a.printf("ready: HTTP %s, NATS %s\n", g.URL(), config.Redact(url))
	}
	return errors.Join(err, g.Serve(ctx, gatewayGrace))
}

// openGateway takes the configured address.
func (a *app) openGateway(ctx context.Context, nc *nats.Conn) (*gateway.Gateway, error) {
	g, err := gateway.Listen(ctx, a.gatewayConfig(nc))
	if errors.Is(err, gateway.ErrOpen) {
		return nil, usagef("gateway.listen is %s: serving HTTP %w; set gateway.token_file, or listen on 127.0.0.1", a.cfg.Gateway.Listen, gateway.ErrOpen)
	}
	return g, err
}

func (a *app) gatewayConfig(nc *nats.Conn) gateway.Config {
	return gateway.Config{
		Listen: a.cfg.Gateway.Listen, Token: a.cfg.Gateway.BearerToken, KB: a.cfg.KB, MaxBytes: a.cfg.Ingest.MaxBytes,
		For:     func(kb string) gateway.System { return api.NewClient(nc, kb) },
		Version: buildVersion().Version, Log: a.log,
	}
}

func newMCP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "mcp",
		GroupID: groupUse,
		Short:   "Serve the knowledge base to an assistant over MCP, on standard input and output",
		Long: `Mcp speaks the Model Context Protocol on standard input and output: an assistant
that starts it can search, ask, add and show. Name it in the assistant's
configuration as a command. Over HTTP the same is at /mcp of the gateway.`,
		Example:           `  tributary mcp --kb default`,
		Args:              usage(cobra.NoArgs),
		ValidArgsFunction: noFiles,
		RunE:              func(cmd *cobra.Command, _ []string) error { return a.mcp(cmd.Context()) },
	}
}

func (a *app) mcp(ctx context.Context) error {
	url, err := natsURL(a.cfg)
	if err != nil {
		return err
	}
	nc, err := connectNATS(a.cfg.NATS, url, "tributary mcp", stayConnected(a)...)
	if err != nil {
		return &exitError{exitUnreachable, err}
	}
	defer nc.Close()
	err = gateway.NewMCP(a.gatewayConfig(nc)).Run(ctx, &mcp.StdioTransport{})
	if ctx.Err() != nil {
		return nil // ended by whoever started it
	}
	return err
}
