module "updraft" {
  source = "./terraform/modules/tenant-account"
  installation = "prod"
  updraft_role_arn = "arn:aws:iam::123456789012:role/updraft-control"
  external_id = "updraft-0123456789abcdef0123456789abcdef"
  regions = ["eu-central-1"]
  subnet_arns = ["arn:aws:ec2:eu-central-1:210987654321:subnet/subnet-0a1b2c3d"]
  vpc_arns = ["arn:aws:ec2:eu-central-1:210987654321:vpc/VPC"]

  # A role and an instance profile for nodes: what they may read and write.
  nodes = {
    airflow = { writes = [], reads = ["BUCKET/PREFIX/"] }
  }
}
