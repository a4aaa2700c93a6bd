// local-volumes makes a folder of the node into a volume for each claim of its storage class. The volumes are of
// type `local`: unlike hostPath ones they get the pod's fsGroup from the kubelet, so that pods without root can
// write to them. (Rancher's local-path provisioner does the same through a helper pod for each volume, but cannot
// be built beside Helm: both need logrus, under import paths that differ in case only.)
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const openToAll = 0o777 // of a pod without fsGroup too; the folder above is root's alone

type provisioner struct {
	folder string // here and on the node
	node   string
}

// Provision makes the folder of a new volume.
func (p provisioner) Provision(_ context.Context, options controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	path := filepath.Join(p.folder, options.PVName)
	if err := os.MkdirAll(path, openToAll); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("making the volume's folder: %w", err)
	}
	if err := os.Chmod(path, openToAll); err != nil { // whatever the umask
		return nil, controller.ProvisioningFinished, fmt.Errorf("opening the volume's folder: %w", err)
	}
	onThisNode := v1.NodeSelectorRequirement{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{p.node}}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: options.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{onThisNode}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes a released volume's folder with all that is in it.
func (p provisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	return os.RemoveAll(filepath.Join(p.folder, volume.Name))
}

func main() {
	name := flag.String("provisioner", "", "name that storage classes call it by")
	folder := flag.String("folder", "", "folder of the node that holds the volumes, mounted at the same path here")
	node := flag.String("node", "", "the node's host name")
	klog.InitFlags(nil)
	flag.Parse()

	config, err := rest.InClusterConfig()
	if err != nil {
		klog.Fatalf("finding the cluster: %v", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		klog.Fatalf("making a client: %v", err)
	}
	ctx := context.Background()
	volumes := provisioner{folder: *folder, node: *node}
	controller.NewProvisionController(ctx, client, *name, volumes, controller.LeaderElection(false)).Run(ctx)
}
