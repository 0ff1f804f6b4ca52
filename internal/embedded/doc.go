// Package embedded runs the two servers that Tributary needs on one machine:
// NATS with JetStream inside this process, and Weaviate as a child process
// that it looks after.
//
// In: a data folder, and for Weaviate a server binary (see ObtainWeaviate).
// Out: addresses to connect to, the health of each server, and a clean end.
// Each data folder belongs to one process at a time; a second start on it is
// refused with an InUseError.
package embedded
