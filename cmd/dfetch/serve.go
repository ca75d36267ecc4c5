package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"

	"dfetch/recipe"
	"dfetch/sources/sender"
	"dfetch/sources/wire"
)

// serveFlags are the flags of dfetch serve.
type serveFlags struct {
	buildFlags
	listen      string
	uploadLimit rateFlag
	clientLimit rateFlag
	noToken     bool
	maxConns    int
	congestion  string
	verbose     bool
}

func newServeCmd() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve PATH...",
		Short: "Serve files and trees",
		Long: `serve describes each PATH (out of the last recipe, where files have not changed), serves it, and prints
one address a PATH on stdout, each on a line of its own. The address is the permission to fetch: it holds the key
that the server must have and an access token. Give it to "dfetch get".

Files are served from where they lie. One that changes while it is served is refused from then on;
start serve again to describe it anew.`,
		Args: wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return serve(cmd, &f, args) },
	}
	f.buildFlags.add(cmd)
	cmd.Flags().StringVar(&f.listen, "listen", ":7433", "listen on HOST:PORT; port 0 takes a free one")
	cmd.Flags().Var(&f.uploadLimit, "upload-limit", "send at most this much a second, to all together")
	cmd.Flags().Var(&f.clientLimit, "client-limit", "send at most this much a second on each connection")
	cmd.Flags().BoolVar(&f.noToken, "no-token-in-address", false, "print addresses without the access token, and the files that hold the tokens on stderr")
	cmd.Flags().StringVar(&f.congestion, "congestion", sender.AutoCongestion, "TCP congestion control, where the kernel has it, but on the loopback; auto is bbr, kept from sending far more than a path has been seen to take; empty leaves the system's")
	cmd.Flags().IntVar(&f.maxConns, "max-connections", 0, "at most N connections at a time (default 256)")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "say what goes wrong with connections")
	nameValues(cmd.Flags(), "HOST:PORT", "listen")
	nameValues(cmd.Flags(), "N", "max-connections")
	nameValues(cmd.Flags(), "NAME", "congestion")
	return cmd
}

// checkListen finds a mistake in --listen before anything is done.
func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usagef("--listen %q: want HOST:PORT, as :7433 or 127.0.0.1:0: %v", addr, err)
	}
	return nil
}

func serve(cmd *cobra.Command, f *serveFlags, paths []string) error {
	if err := checkListen(f.listen); err != nil {
		return err
	}
	config, err := places{}.config()
	if err != nil {
		return err
	}
	id, err := wire.LoadIdentity(config)
	if err != nil {
		return err
	}
	server, err := sender.NewServer(sender.ServerConfig{
		Identity: id, MaxConns: f.maxConns, UploadLimit: int64(f.uploadLimit), UploadLimitPerCon: int64(f.clientLimit),
		Congestion: f.congestion,
		Log: func(remote string, err error) {
			if f.verbose {
				say(cmd.ErrOrStderr(), "%s: %v", remote, err)
			}
		},
	})
	if err != nil {
		return err
	}
	defer server.Close()
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return withCode(exitSocket, err)
	}
	defer l.Close()
	files, err := f.serveAll(cmd, server, l, id.Pin(), paths)
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	if err != nil {
		return err
	}
	err = server.Serve(cmd.Context(), l)
	if errors.Is(context.Cause(cmd.Context()), errInterrupted) {
		return nil // ending a server is how it is meant to end
	}
	return err
}

// serveAll describes the paths, adds them to the server, and prints their addresses.
func (f *serveFlags) serveAll(cmd *cobra.Command, server *sender.Server, l net.Listener, pin string, paths []string) ([]*recipe.File, error) {
	var files []*recipe.File
	var addresses []recipe.Address
	for _, path := range paths {
		file, dfr, err := f.servedRecipe(cmd, path)
		if err != nil {
			return files, err
		}
		files = append(files, file)
		token, tokenFile, err := tokenOf(file)
		if err != nil {
			return files, err
		}
		if err := server.Add(sender.Served{Recipe: file, Path: path, Token: token, DFR: dfr}); err != nil {
			return files, err
		}
		a := recipe.Address{Hash: file.Root().Hash, ID: file.ID(), Senders: hostPorts(l.Addr()), Pin: pin, Token: token}
		if f.noToken {
			a = a.WithoutToken()
			say(cmd.ErrOrStderr(), "the token of %s is in %s", path, tokenFile)
		}
		addresses = append(addresses, a)
	}
	for _, a := range addresses {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), a); err != nil {
			return files, err
		}
	}
	return files, nil
}

// tokenOf is a recipe's access token. It is kept, so that an address outlives the server's restart.
func tokenOf(file *recipe.File) (token, path string, err error) {
	state, err := places{}.state()
	if err != nil {
		return "", "", err
	}
	dir, name := filepath.Join(state, "tokens"), recipe.FormatID(file.Root().Hash, file.ID())
	token, err = wire.LoadToken(dir, name)
	return token, filepath.Join(dir, name), err
}

// hostPorts lists what a receiver can dial: the address listened on or, if that is a wildcard, those
// of the machine's interfaces; of the loopback if there are no others.
func hostPorts(addr net.Addr) []string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return []string{addr.String()}
	}
	var out []string
	addrs, _ := net.InterfaceAddrs() // none are as good as an error
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && (tcp.IP.To4() == nil || n.IP.To4() != nil) {
			out = append(out, net.JoinHostPort(n.IP.String(), fmt.Sprint(tcp.Port)))
		}
	}
	if len(out) == 0 {
		out = append(out, net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port)))
	}
	return out
}
