package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are picked in this range, below the one from which Linux, macOS and
// Windows take ports for outgoing connections: a port that is free now is
// then unlikely to be taken before the child listens on it.
const (
	firstPort = 20000
	lastPort  = 32000
	// maxPortTries bounds the search for one free port.
	maxPortTries = 1000
)

// ports are all ports on which a Weaviate listens.
type ports struct {
	HTTP    int `json:"http"`
	GRPC    int `json:"grpc"`
	Gossip  int `json:"gossip"` // TCP and UDP
	Data    int `json:"data"`
	Raft    int `json:"raft"`
	RaftRPC int `json:"raft_rpc"`
}

// each calls f for every port.
func (p *ports) each(f func(*int) error) error {
	for _, port := range []*int{&p.HTTP, &p.GRPC, &p.Gossip, &p.Data, &p.Raft, &p.RaftRPC} {
		if err := f(port); err != nil {
			return err
		}
	}
	return nil
}

// pickPorts returns ports that are free at this moment. It keeps each port of
// former that is still free. A fixed port that is taken is an error.
func pickPorts(ctx context.Context, former, fixed ports) (ports, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	err := fixed.each(func(port *int) error {
		if *port == 0 {
			return nil
		}
		l, err := listenBoth(ctx, *port)
		if err != nil {
			return fmt.Errorf("port %d cannot be used (HTTPPort, GRPCPort; 0 picks another): %w", *port, err)
		}
		held = append(held, l)
		return nil
	})
	if err != nil {
		return ports{}, err
	}
	picked := former
	err = picked.each(func(port *int) error {
		l, err := listenFree(ctx, *port)
		if err != nil {
			return err
		}
		held = append(held, l)
		*port = l.Addr().(*net.TCPAddr).Port
		return nil
	})
	if err != nil {
		return ports{}, err
	}
	return picked.with(fixed), nil
}

// with returns p with the ports that are set in fixed.
func (p ports) with(fixed ports) ports {
	if fixed.HTTP != 0 {
		p.HTTP = fixed.HTTP
	}
	if fixed.GRPC != 0 {
		p.GRPC = fixed.GRPC
	}
	return p
}

// listenFree listens on the wanted port, or on another when that is 0 or
// taken.
func listenFree(ctx context.Context, want int) (net.Listener, error) {
	if want != 0 {
		if l, err := listenBoth(ctx, want); err == nil {
			return l, nil
		}
	}
	var last error
	for range maxPortTries {
		l, err := listenBoth(ctx, firstPort+rand.IntN(lastPort-firstPort))
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("find a free port between %d and %d: %w", firstPort, lastPort, last)
}

// listenBoth listens on all interfaces, as some of the child's listeners do.
// The port must be free for UDP too; only the TCP listener is kept.
func listenBoth(ctx context.Context, port int) (net.Listener, error) {
	var config net.ListenConfig
	addr := ":" + strconv.Itoa(port)
	udp, err := config.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	_ = udp.Close()
	// The loopback address may be taken although the wildcard is free.
	loop, err := config.Listen(ctx, "tcp", "127.0.0.1"+addr)
	if err != nil {
		return nil, err
	}
	_ = loop.Close()
	return config.Listen(ctx, "tcp", addr)
}
