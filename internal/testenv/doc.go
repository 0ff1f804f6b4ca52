// Package testenv gives tests the real servers: a NATS of their own in the
// test's process, and one Weaviate that all packages of a "go test ./..." run
// share. In: a testing.TB. Out: addresses and connections that end with the
// test or, for Weaviate, soon after the last test process.
//
// A binary that imports this package is able to run the shared server's
// supervisor: it does so, before main, when it is started with
// TRIBUTARY_TESTENV_SUPERVISOR set.
package testenv
