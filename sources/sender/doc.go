// Package sender is the chunk protocol over TLS 1.3, both ends: a Server that serves trees from the
// files where they lie, and a Client that is a sources.Source.
//
// What happens, in steps:
//
//  1. The client connects, checks the server's key pin, and sends HELLO with the recipe's id and a
//     token. The server answers WELCOME with the recipe's root, or one ERR for everything that is
//     not allowed: who may not know a recipe does not learn that it exists.
//  2. NODES asks for nodes of the recipe, one by one or a whole subtree in pre-order. The server
//     sends as many bytes as the client gave room for, then waits for MORE. Requests that begin at the
//     root may go out with HELLO, which saves a round trip; the server looks at them after the token.
//  3. GET asks for ranges of chunk ordinals. The server answers with DATA: runs of consecutive
//     chunks in one frame, across the ends of files, so thousands of small files cost a few frames
//     and no round trip each. A run's size follows the delivery rate: about 20 ms of it. While the network is slow, runs are
//     the pieces of one zstd stream, so that what an earlier run had costs next to nothing.
//  4. Around each read the server compares the file's size and time with the recipe. Chunks of a
//     file that differs get FAIL "changed".
//  5. ZOOM asks for fine lists of chunks, which the server makes, checks and keeps in a small cache. FINE
//     answers for many chunks at once. GET_PARTS asks for stretches of chunks, and PARTS brings those
//     of several chunks in a frame, compressed in the same stream: who asks for parts has a slow link.
//  6. The client hashes every chunk and every node, and a chunk of which parts came when it is put
//     together. Nothing else says that bytes are right.
//
// Requests are bounded by credit (TAKEN), so a server's queue is short whatever the client asks. Nodes go
// ahead of fine lists, and these ahead of chunks. The next run is read while the network takes the last one
// out of the socket.
//
// What it does not guarantee: a file that is rewritten within one tick of its file system's clock,
// with its size kept and its time put back, is served as it is; the client's hash finds that.
// The order in which chunks arrive is not part of the contract.
package sender
