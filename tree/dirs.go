package tree

import "strings"

// maxDirs is how many directories are held open beside those that are in use at the moment.
const maxDirs = 128

// dirNode is a directory of the destination. It is reached from the root's handle by one name at a
// time, so a symlink that somebody puts in its place is never followed.
type dirNode struct {
	handle
	parent *dirNode // nil for the root
	name   string
	path   string            // slash path below the root
	fresh  bool              // made by this run: there is nothing in it yet but what this run puts there
	failed bool              // could not be made; what lies below can't be either
	names  map[string]string // folded name → name, where the file system folds
	mount  *mount            // the mount that it lies on; nil for that of the root
	where  mountKey
}

// child is a node below n; nothing is opened.
func (n *dirNode) child(name string) *dirNode {
	return &dirNode{handle: handle{fd: -1}, parent: n, name: name, path: joinPath(n.path, name), mount: n.mount, where: n.where}
}

// dir gives a directory's descriptor, pinned, opening it if need be.
func (c *handles) dir(n *dirNode) (int, error) {
	if fd, ok := c.pin(&n.handle); ok {
		return fd, nil
	}
	pfd, err := c.dir(n.parent)
	if err != nil {
		return -1, err
	}
	defer c.unpin(&n.parent.handle)
	fd, err := openDirAt(pfd, n.name)
	if err != nil {
		return -1, err
	}
	return c.adopt(&n.handle, fd), nil
}

// acquireDir gives a directory's descriptor. It is paired with releaseDir.
func (t *Tree) acquireDir(n *dirNode) (int, error) { return t.dirs.dir(n) }

func (t *Tree) releaseDir(n *dirNode) { t.dirs.unpin(&n.handle) }

// lookupDir makes the nodes from the root to a path.
func (t *Tree) lookupDir(path string) *dirNode {
	n := t.root
	for name := range strings.SplitSeq(path, "/") {
		if name != "" {
			n = t.child(n, name)
		}
	}
	return n
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func splitPath(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p
	}
	return p[:i], p[i+1:]
}
