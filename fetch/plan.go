package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/tree"
)

// Bounds of the planner.
const (
	maxWindow    = 256 << 10 // chunks planned and not arrived: 4 GiB of data at 16 KiB
	leadCost     = 4         // what the first chunk of a file counts for in the window, for the file's own state
	maxPlanAhead = 1024      // files whose lists are asked for ahead
	planBatch    = 256       // chunks in one event: few, as the lists of the next may take long to come
)

// pending is a file that is not complete.
type pending struct {
	file    *tree.File
	path    string
	origins *origins // nil unless somebody wants them explained
}

// job is a file whose chunks are to be planned.
type job struct {
	file    *pending
	entry   recipe.Entry
	ordinal uint64
}

// planner finds out which chunks are missing and feeds them to the core. In steps: one goroutine walks
// the recipe and asks the tree for each entry; the files that need data go, with their lists already
// asked for, to a second one that lists their chunks, leaves out what is held, and waits for room in
// the window.
type planner struct {
	// walkAll goes through the selected entries.
	walkAll func(context.Context, recipe.Nodes, func(recipe.Item) error) error
	root    *recipe.Root
	nodes   *nodeFeed
	tree    *tree.Tree
	win     *window
	mail    planMail
	stats   *counters
	// place: the path of the destination, for the search; nil without one.
	place []string
	above []string // of a part of a tree: the directories that it lies in there
	files uint32   // told to the core

	explain *explainer

	// checksum: a live file is right when its content is, not when its size and time are.
	checksum bool

	batch Event  // planned chunks that have not been posted
	buf   []byte // recipe.MaxChunk bytes, for chunks that are hashed again
}

func (p *planner) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan *job, maxPlanAhead)
	g.Go(func() error {
		defer close(jobs)
		return p.walk(ctx, jobs)
	})
	g.Go(func() error { return p.planAll(ctx, jobs) })
	if err := g.Wait(); err != nil {
		return err
	}
	p.stats.planDone.Store(true)
	p.mail.post(Event{Kind: EvPlanDone})
	return nil
}

func (p *planner) walk(ctx context.Context, jobs chan<- *job) error {
	return p.walkAll(ctx, p.nodes, func(it recipe.Item) error {
		e := it.Entry
		f, err := p.tree.Plan(it)
		if err != nil {
			return err
		}
		if e.Type == recipe.TypeFile {
			p.stats.planFiles.Add(1)
			p.stats.planBytes.Add(uint64(e.Size))
			p.stats.planChunks.Add(e.Chunks())
		}
		if f == nil {
			if e.Type == recipe.TypeFile {
				p.stats.wholeBytes.Add(uint64(e.Size))
				p.explain.open(it.Path, e.Size).add(wholeOrigin(e))
			}
			return nil
		}
		p.prefetchLists(&e.Content)
		j := &job{file: &pending{file: f, path: it.Path, origins: p.explain.open(it.Path, e.Size)}, entry: *e, ordinal: it.Ordinal}
		j.entry.Content.Refs = slices.Clone(e.Content.Refs)
		select {
		case jobs <- j:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

func (p *planner) prefetchLists(l *recipe.List) {
	if l.Level == 0 {
		return
	}
	ids := make([]recipe.ID, 0, len(l.Refs))
	for _, r := range l.Refs {
		if !r.Hole {
			ids = append(ids, r.ID)
		}
	}
	p.nodes.Prefetch(recipe.KindList, ids)
}

func (p *planner) planAll(ctx context.Context, jobs <-chan *job) error {
	for {
		select {
		case j, ok := <-jobs:
			if !ok {
				p.send()
				return nil
			}
			if err := p.planFile(ctx, j); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if len(jobs) == 0 {
			p.send()
		}
	}
}

// planFile plans the chunks of one file that are neither right nor staged.
func (p *planner) planFile(ctx context.Context, j *job) error {
	if p.checksum {
		if right, err := p.liveIsRight(ctx, j); right || err != nil {
			return err
		}
	}
	f := j.file.file
	p.announce(j)
	if j.entry.Content.Level > 0 {
		p.send() // the lists may take long to come
	}
	ord, lead := j.ordinal, true
	return recipe.Chunks(ctx, p.nodes, &j.entry, func(off int64, r recipe.Ref) error {
		if r.Hole {
			p.stats.holeBytes.Add(uint64(r.Bytes))
			j.file.origins.add(holeOrigin(r))
			return f.Hole(off, r.Bytes)
		}
		want := wantOf(ord, r)
		ord++
		if f.Holds(off, r.Bytes) {
			p.resumed(j, r.Bytes)
			return nil
		}
		if f.Staged(off, r.Bytes) && p.rehash(f, off, want) {
			p.resumed(j, r.Bytes)
			return f.HoldVerified(off, r.Bytes)
		}
		at := place{file: j.file, off: off, lead: lead}
		lead = false
		return p.plan(ctx, want, at)
	})
}

// resumed counts a chunk that an earlier run had staged.
func (p *planner) resumed(j *job, bytes int64) {
	p.stats.resumed.Add(uint64(bytes))
	j.file.origins.add(Origin{Source: "dest", How: "staged by an earlier run", Bytes: uint64(bytes), Chunks: 1})
}

// announce tells the search which file the next chunks belong to.
func (p *planner) announce(j *job) {
	if p.place == nil {
		return
	}
	p.flush()
	names := components("/" + j.file.path)
	dirs, name := names[:len(names)-1], names[len(names)-1]
	f := &WantedFile{
		Dirs: append(slices.Clip(p.place), dirs...), Name: name, Size: j.entry.Size, MTime: j.entry.MTime, Chunks: int64(j.entry.Chunks()),
	}
	if len(p.above) > 0 {
		f.Tree = append(slices.Clip(p.above), dirs...)
	}
	p.mail.add(Event{Kind: EvFile, File: f})
	p.files++
}

// rehash says whether a staged range that the journal does not vouch for holds the chunk.
func (p *planner) rehash(f *tree.File, off int64, want sources.Want) bool {
	data, err := f.ReadStaged(off, int64(want.Len))
	return err == nil && p.root.Hash.Chunk(data) == want.ID
}

// liveIsRight compares the live file with the recipe by content.
func (p *planner) liveIsRight(ctx context.Context, j *job) (bool, error) {
	live, err := j.file.file.OpenLive()
	if err != nil {
		return false, nil // there is none, or none that can be read: it is fetched
	}
	defer live.Close()
	if st, err := live.Stat(); err != nil || st.Size() != j.entry.Size {
		return false, nil
	}
	errDiffers := errors.New("differs")
	err = recipe.Chunks(ctx, p.nodes, &j.entry, func(off int64, r recipe.Ref) error {
		if !p.matches(live, off, r) {
			return errDiffers
		}
		return nil
	})
	if errors.Is(err, errDiffers) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.stats.wholeBytes.Add(uint64(j.entry.Size))
	j.file.origins.add(Origin{Source: "dest", How: "right by its content", Bytes: uint64(j.entry.Size)})
	return true, j.file.file.Right()
}

// matches says whether a file holds a chunk, or zeros where the recipe has a hole.
func (p *planner) matches(f io.ReaderAt, off int64, r recipe.Ref) bool {
	if !r.Hole {
		data := p.buf[:r.Bytes]
		_, err := io.ReadFull(io.NewSectionReader(f, off, r.Bytes), data)
		return err == nil && p.root.Hash.Chunk(data) == r.ID
	}
	for end := off + r.Bytes; off < end; {
		data := p.buf[:min(int64(len(p.buf)), end-off)]
		if _, err := io.ReadFull(io.NewSectionReader(f, off, int64(len(data))), data); err != nil || !allZero(data) {
			return false
		}
		off += int64(len(data))
	}
	return true
}

func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

func (p *planner) plan(ctx context.Context, want sources.Want, at place) error {
	if !p.win.add(want, at, max(p.files, 1)-1) {
		return nil
	}
	if n := uint64(len(p.batch.Lens)); n > 0 && p.batch.First+n != want.Ordinal || n >= planBatch {
		p.flush()
	}
	if len(p.batch.Lens) == 0 {
		p.batch = Event{Kind: EvPlanned, First: want.Ordinal, Group: max(p.files, 1) - 1}
	}
	p.batch.Lens = append(p.batch.Lens, want.Len)
	p.mail.note(want.ID)
	if p.win.full() {
		p.send()
		return p.win.waitRoom(ctx)
	}
	return nil
}

// flush ends the batch.
func (p *planner) flush() {
	if len(p.batch.Lens) > 0 {
		batch := p.batch
		p.batch = Event{}
		p.mail.add(batch)
	}
}

// send tells the core all that was planned.
func (p *planner) send() {
	p.flush()
	p.mail.send()
}

// wantOf is the want of a chunk.
func wantOf(ordinal uint64, r recipe.Ref) sources.Want {
	return sources.Want{Ordinal: ordinal, ID: r.ID, Len: uint32(r.Bytes)}
}
