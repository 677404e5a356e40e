# Updraft on AWS: control and edges as stateless pairs behind balancers, two Postgres servers, buckets and one key.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

# Debian's own parameter: https://wiki.debian.org/Cloud/AmazonEC2Image
data "aws_ssm_parameter" "image" {
  count = var.image_id == null ? 1 : 0
  name  = "/aws/service/debian/release/12/latest/amd64"
}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.region
  image_id  = var.image_id != null ? var.image_id : nonsensitive(data.aws_ssm_parameter.image[0].value)
  tags      = merge({ "updraft:installation" = var.name }, var.tags)

  # `clusters`: what the metadata server has connections for. terraform/README.md says the same.
  sizes = {
    small  = { clusters = 10, control = "t3.medium", edge = "t3.medium", edges = 2, control_db = "db.t4g.medium", metadata_db = "db.t4g.large", metadata_gb = 100 }
    medium = { clusters = 50, control = "m7i.large", edge = "c7i.large", edges = 2, control_db = "db.m7g.large", metadata_db = "db.r7g.xlarge", metadata_gb = 400 }
    large  = { clusters = 150, control = "m7i.xlarge", edge = "c7i.xlarge", edges = 4, control_db = "db.m7g.xlarge", metadata_db = "db.r7g.4xlarge", metadata_gb = 2000 }
  }
  size = local.sizes[var.size]

  ports = {
    console  = 7700 # people and programs, by the balancer
    edge     = 7701 # Airflow's pages, by the balancer
    internal = 7702 # agents by the balancer, edges straight
    tunnels  = 7443 # agents dial them, through a balancer that passes TLS on
    postgres = 5432
  }
}
