"""A one-node Kubernetes from the role's own binaries: started, supervised, described and taken away again."""
