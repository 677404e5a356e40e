# What control is told of nodes, and the role by whose sessions they open their clusters' buckets. What nodes are made of is in
# docs/ec2.md; what they may do in their own account is modules/tenant-account's.

locals {
  # One bucket for each cluster, made and removed by control: the cluster's number follows.
  bucket_prefix = "${var.name}-${local.account}-cluster-"
  cluster_arns  = ["arn:${local.partition}:s3:::${local.bucket_prefix}*"]
  cluster_keys  = ["arn:${local.partition}:s3:::${local.bucket_prefix}*/*"]

  nodes = { ec2 = merge(local.nodes_said, {
    control_url = "https://agents.${var.domain}"
    runtimes    = { for runtime in var.nodes.runtimes : runtime => { template_database = "template-${runtime}" } }
    storage     = { region = local.region, bucket_prefix = local.bucket_prefix, node_keys = { role = aws_iam_role.storage.arn } }
    audit       = { region = local.region, bucket = aws_s3_bucket.this["audit"].id }
    provider = {
      installation     = var.name
      region           = local.region
      account          = var.nodes.account
      subnets          = var.nodes.subnets
      security_groups  = var.nodes.security_groups
      image            = var.nodes.image
      instance_profile = var.nodes.instance_profile
      root_volume      = { gib = var.nodes.root_gib, device = var.nodes.root_device }
      scheduler        = { instance_type = var.nodes.instance_types.scheduler }
      web              = { instance_type = var.nodes.instance_types.web }
      worker           = { instance_type = var.nodes.instance_types.worker, market = var.nodes.spot_workers ? "spot" : "on_demand" }
      artifacts        = { region = local.region, bucket = aws_s3_bucket.this["artifacts"].id }
      archives         = var.nodes.archives
    }
  }) }

  # What is left unsaid is control's to choose, which takes no null for it.
  nodes_said = { for setting, value in {
    metadata_address = var.nodes.metadata_address
    shared_account   = var.nodes.shared_account
    agents_first_in  = var.nodes.agents_first_in
    on_stop          = var.nodes.on_stop
  } : setting => value if value != null }
}

# Sessions of it are limited to one cluster's bucket by the policy that control asks for with each.
resource "aws_iam_role" "storage" {
  name                 = "${var.name}-storage"
  max_session_duration = 3600
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = aws_iam_role.face["control"].arn }
    }]
  })
}

resource "aws_iam_role_policy" "storage" {
  name = "updraft"
  role = aws_iam_role.storage.id

  policy = jsonencode({ Version = "2012-10-17", Statement = [
    {
      Sid      = "ObjectsOfClusters"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = local.cluster_keys
    },
    {
      Sid      = "ListThem"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = local.cluster_arns
    },
  ] })
}
