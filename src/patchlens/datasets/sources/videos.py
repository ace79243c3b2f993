"""Datasets of tracked and segmented videos: where they come from."""

from patchlens.datasets.source import Archive, Source

SOURCES = (
    Source(
        kind="bdd100k_track",
        title="BDD100K box tracking (MOT 2020)",
        access="account",
        licence="UC Regents: educational, research and non-profit use (doc/source/license.rst)",
        citation="Yu et al., BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask "
        "Learning, CVPR 2020",
        homepage="https://bdd-data.berkeley.edu",
        how="Log in at bdd-data.berkeley.edu, download `MOT 2020 Images` and `MOT 2020 Labels` "
        "(box_track_labels_trainval.zip, md5 6be40e0ca56a83ddeba2ed6bff50f9e6) and unpack "
        "both into one folder, so that it holds images/track and labels/box_track_20",
    ),
    Source(
        kind="mot15",
        title="MOTChallenge 2015 (MOT15)",
        access="open",
        licence="CC BY-NC-SA 3.0 (not verified against the official page)",
        citation="Leal-Taixé et al., MOTChallenge 2015: Towards a Benchmark for Multi-Target "
        "Tracking, arXiv:1504.01942, 2015",
        homepage="https://motchallenge.net/data/MOT15/",
        how="Download MOT15.zip from https://motchallenge.net/data/MOT15/ and unpack it",
        archives=(Archive("https://motchallenge.net/data/MOT15.zip"),),
    ),
    Source(
        kind="mot16",
        title="MOTChallenge 2016 (MOT16)",
        access="open",
        licence="CC BY-NC-SA 3.0 (not verified against the official page)",
        citation="Milan et al., MOT16: A Benchmark for Multi-Object Tracking, arXiv:1603.00831, "
        "2016",
        homepage="https://motchallenge.net/data/MOT16/",
        how="Download MOT16.zip from https://motchallenge.net/data/MOT16/ and unpack it",
        archives=(Archive("https://motchallenge.net/data/MOT16.zip"),),
    ),
    Source(
        kind="mot17",
        title="MOTChallenge 2017 (MOT17)",
        access="open",
        licence="CC BY-NC-SA 3.0 (not verified against the official page)",
        citation="Milan et al., MOT16: A Benchmark for Multi-Object Tracking, arXiv:1603.00831, "
        "2016",
        homepage="https://motchallenge.net/data/MOT17/",
        how="Download MOT17.zip from https://motchallenge.net/data/MOT17/ and unpack it",
        archives=(Archive("https://motchallenge.net/data/MOT17.zip"),),
    ),
    Source(
        kind="kitti_tracking",
        title="KITTI multi-object tracking, left colour camera",
        access="account",
        licence="CC BY-NC-SA 3.0 (not verified against the official page)",
        citation="Geiger et al., Are we ready for Autonomous Driving? The KITTI Vision Benchmark "
        "Suite, CVPR 2012",
        homepage="https://www.cvlibs.net/datasets/kitti/eval_tracking.php",
        how="Register at www.cvlibs.net/datasets/kitti/eval_tracking.php, download "
        "data_tracking_image_2.zip and data_tracking_label_2.zip and unpack both into one "
        "folder, so that it holds training/image_02 and training/label_02",
        archives=(
            Archive(
                "https://www.cvlibs.net/download.php?file=data_tracking_image_2.zip",
                name="data_tracking_image_2.zip",
            ),
            Archive(
                "https://www.cvlibs.net/download.php?file=data_tracking_label_2.zip",
                name="data_tracking_label_2.zip",
            ),
        ),
    ),
    Source(
        kind="davis2016",
        title="DAVIS 2016, 480p",
        access="placed",
        licence="BSD, as github.com/davisvideochallenge/davis states",
        citation="Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object "
        "Segmentation, CVPR 2016",
        homepage="https://davischallenge.org/davis2016/code.html",
        how="Download DAVIS 2016 (TrainVal, 480p) from davischallenge.org/davis2016/code.html",
    ),
    Source(
        kind="davis2017",
        title="DAVIS 2017, 480p",
        access="open",
        licence="CC BY 4.0 unless stated in SOURCES.md of the dataset",
        citation="Pont-Tuset et al., The 2017 DAVIS Challenge on Video Object Segmentation, "
        "arXiv:1704.00675",
        homepage="https://davischallenge.org/davis2017/code.html",
        archives=(
            Archive(
                "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip"
            ),
        ),
    ),
)
