package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"dfetch/eval/dataset"
	"dfetch/eval/proc"
	"dfetch/eval/result"
)

// web is a program that fetches over HTTP.
type web struct {
	program string
	// publisher is the program that publish runs, where that is another one.
	publisher string
	// trees tells whether it can transfer more than one file.
	trees bool
	// publish puts what the receivers need besides the set into the folder pub,
	// which is served as /pub/. It may be nil.
	publish func(ctx context.Context, job Job, pub string) error
	// get is what a receiver runs; base is the server's URL.
	get func(job Job, to Receiver, base string) []string
}

const httpPort = 8080

// Programs implements Peer.
func (w web) Programs() []string {
	if w.publisher == "" {
		return []string{w.program}
	}
	return []string{w.program, w.publisher}
}

// Check implements Peer.
func (w web) Check(job Job) error {
	if job.Set.Tree() && !w.trees {
		return result.Missingf("%s transfers single files only", w.program)
	}
	return installed(w.Programs()...)
}

// Start implements Peer.
func (w web) Start(ctx context.Context, job Job) (Session, error) {
	pub := filepath.Join(job.Scratch, "pub")
	if err := os.Mkdir(pub, 0o777); err != nil {
		return nil, err
	}
	if w.publish != nil {
		if err := w.publish(ctx, job, pub); err != nil {
			return nil, fmt.Errorf("publishing for %s: %w", w.program, err)
		}
	}
	server, base, err := fileServer(ctx, job, pub)
	if err != nil {
		return nil, err
	}
	return session{servers{server}, func(ctx context.Context, i int) (*exec.Cmd, error) {
		to := job.Receivers[i]
		args := w.get(job, to, base)
		cmd := to.Host.Command(ctx, args[0], args[1:]...)
		cmd.Dir = to.Dest()
		return cmd, nil
	}}, nil
}

// fileServer serves the set as /src/ and pub as /pub/.
func fileServer(ctx context.Context, job Job, pub string) (*proc.Process, string, error) {
	addr := fmt.Sprintf("%s:%d", job.Sender.Addr4(), httpPort)
	server, err := background(ctx, job.Sender, filepath.Join(job.Scratch, "httpd.log"), job.Lab, "httpd", addr, job.Set.Dir, pub)
	if err != nil {
		return nil, "", err
	}
	if err := server.AwaitPort(ctx, "tcp", endpoint(job.Sender, httpPort)); err != nil {
		server.Stop()
		return nil, "", err
	}
	return server, "http://" + addr, nil
}

func curl(job Job, to Receiver, base string) []string {
	return []string{"curl", "-sSf", "-o", filepath.Join(to.Dest(), job.Set.Name), base + "/src/" + job.Set.Name}
}

func aria2(job Job, to Receiver, base string) []string {
	return []string{
		"aria2c", "-q", "--no-conf", "-x", "16", "-s", "16", "-k", "1M", "--file-allocation=none",
		"--allow-overwrite=true", "--auto-file-renaming=false", "-d", to.Dest(), base + "/src/" + job.Set.Name,
	}
}

func zsyncmake(ctx context.Context, job Job, pub string) error {
	cmd := job.Sender.Command(ctx, "zsyncmake", "-u", "/src/"+job.Set.Name, "-o", filepath.Join(pub, job.Set.Name+".zsync"), job.Set.Path())
	cmd.Dir = pub
	_, err := proc.Run(cmd)
	return err
}

// zsync takes the result's name only from a .zsync file that is named after it.
func zsync(job Job, _ Receiver, base string) []string {
	return []string{"zsync", "-q", base + "/pub/" + job.Set.Name + ".zsync"}
}

// casyncIndex is the name of the index that casync publishes.
func casyncIndex(job Job) string {
	if job.Set.Tree() {
		return "set.caidx"
	}
	return "set.caibx"
}

func casyncMake(ctx context.Context, job Job, pub string) error {
	cmd := job.Sender.Command(ctx, "casync", "make", "--without=privileged", "--store="+filepath.Join(pub, "store.castr"),
		filepath.Join(pub, casyncIndex(job)), job.Set.Path())
	_, err := proc.Run(cmd)
	return err
}

// casyncExtract extracts a file beside the old one and renames it, or a tree
// into the destination. The seed is the old version.
func casyncExtract(job Job, to Receiver, base string) []string {
	args := []string{"casync", "extract", "--without=privileged", "--store=" + base + "/pub/store.castr"}
	for _, old := range []string{to.Dest(), filepath.Join(to.Dir, dataset.Sibling)} {
		if seed := filepath.Join(old, job.Set.Name); occupied(seed) {
			args = append(args, "--seed="+seed)
		}
	}
	target := filepath.Join(to.Dest(), job.Set.Name)
	if job.Set.Tree() {
		return append(args, base+"/pub/"+casyncIndex(job), target)
	}
	fresh := target + ".new"
	args = append(args, base+"/pub/"+casyncIndex(job), fresh)
	return append([]string{"sh", "-c", `new=$1 to=$2; shift 2; "$@" && mv "$new" "$to"`, "sh", fresh, target}, args...)
}

// occupied tells whether there is a file, or a folder that is not empty.
func occupied(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return err == nil
	}
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) > 0
}
