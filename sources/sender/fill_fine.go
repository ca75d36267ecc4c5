package sender

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

const (
	fineRun     = 16 << 10 // bytes of a FINE frame at which it is sent
	fineTime    = runTime  // a FINE frame is sent after this long, however little it holds
	fineCache   = 4 << 20  // bytes of fine lists that a server keeps
	fineClients = 2        // clients for which fine lists are made at a time
)

// A FINE frame is a control frame, also with the longest list at its end.
const _ = uint(wire.MaxControl - fineRun - wire.MaxFineList)

// fineStep sends one FINE frame; false if no fine lists are asked for.
func (f *filler) fineStep(ctx context.Context) (bool, error) {
	var body []byte
	begin := time.Now()
	for len(body) < fineRun && time.Since(begin) < fineTime {
		ordinal, ok := f.s.nextZoom()
		if !ok {
			break
		}
		list, err := f.fineList(ctx, ordinal)
		if err != nil {
			if ctx.Err() != nil {
				return true, ctx.Err()
			}
			body = wire.AppendFineList(body, wire.FineList{Ordinal: ordinal, Code: codeOf(err)})
			continue
		}
		body = wire.AppendFineList(body, wire.FineList{Ordinal: ordinal, FineList: list})
	}
	if len(body) == 0 {
		return false, nil
	}
	return true, f.s.put(ctx, &frame{bytes: wire.AppendFrame(f.begin(), wire.TypeFine, body)})
}

// fineList finds or makes the fine list of a chunk.
func (f *filler) fineList(ctx context.Context, ordinal uint64) (recipe.FineList, error) {
	var none recipe.FineList
	p, err := f.cursor.at(ctx, ordinal)
	if err != nil {
		return none, err
	}
	if p.size > wire.MaxZoomChunk {
		return none, fmt.Errorf("chunk %d has %d bytes, fine lists are made of up to %d: %w", ordinal, p.size, wire.MaxZoomChunk, sources.ErrNotHeld)
	}
	if list, ok := f.s.srv.fine.Get(p.id); ok {
		return list, nil
	}
	list, err := f.makeFine(ctx, p)
	if err == nil {
		f.s.srv.fine.Add(p.id, list, fineSize(list))
	}
	return list, err
}

// makeFine reads a chunk and cuts it. The list that a server keeps is of the right bytes: they are hashed.
func (f *filler) makeFine(ctx context.Context, p piece) (recipe.FineList, error) {
	var none recipe.FineList
	select {
	case f.s.srv.fining <- struct{}{}:
		defer func() { <-f.s.srv.fining }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	f.chunk = slices.Grow(f.chunk[:0], int(p.size))[:p.size]
	if err := f.files.read(p.file, p.off, f.chunk); err != nil {
		return none, err
	}
	hash := f.s.tree.root.Hash
	if hash.Chunk(f.chunk) != p.id {
		return none, fmt.Errorf("%q at %d has other bytes: %w", p.file.path(), p.off, sources.ErrChanged)
	}
	return recipe.FineListOf(hash, f.chunk), nil
}

// fineSize is about what a list takes in the server's memory.
func fineSize(list recipe.FineList) int {
	const entryCost, blockCost, listCost = 10, 2, 200
	return listCost + len(list.Entries)*entryCost + len(list.Blocks)*blockCost
}
