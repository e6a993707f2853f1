package main

import (
	"flag"
	"fmt"
	"net/url"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd serves etcd on unix sockets in the given folder until it is killed. Nothing is synced to
// disk: a test's data outlives a killed process, but need not outlive a power cut.
func runEtcd(arguments []string) error {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for the data and the sockets (client.sock, peer.sock)")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("etcd: --dir is needed")
	}
	client := url.URL{Scheme: "unix", Path: filepath.Join(*dir, "client.sock")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(*dir, "peer.sock")}

	config := embed.NewConfig()
	config.Dir = filepath.Join(*dir, "data")
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.LogOutputs = []string{"stderr"}

	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	return <-server.Err()
}
