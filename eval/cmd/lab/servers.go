package main

import (
	"context"
	"errors"

	"dfetch/eval/peer"
	"dfetch/eval/torrent"
)

func httpdCommand(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("httpd: want ADDRESS SRC PUB")
	}
	return peer.ServeFiles(ctx, args[0], args[1], args[2])
}

func trackerCommand(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("tracker: want ADDRESS")
	}
	return torrent.Serve(ctx, args[0])
}
